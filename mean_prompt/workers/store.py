"""Climbs that ended, kept in an Optuna study: each once, whatever happens on the way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mean_prompt.errors import InputError
from mean_prompt.optimize.exchange import Elite, Mark
from mean_prompt.optimize.sampling import ClimbRecord, StudySettings
from mean_prompt.storage_url import StorageURL
from mean_prompt.workers.connection import (
    engine_options,
    explained,
    open_engine,
    reason,
    write_ahead,
)
from mean_prompt.workers.registry import METADATA

STUDY_NAME: Final = "mean-prompt"
#: Tries to make the tables, which several processes may do at once.
_TRIES: Final = 5

#: What the libraries raise where a server, its disk or the way to it fails, and may be better
#: later; anything else of SQLAlchemy's will be the same then.
TRANSIENT: Final = (
    StorageInternalError,
    OperationalError,
    InterfaceError,
    InternalError,
    PoolTimeout,
)


def open_storage(url: StorageURL, *, make: bool) -> RDBStorage:
    """Return an Optuna storage, whose engine serves the registry too.

    Args:
        url: where it is.
        make: whether to make the tables that it lacks.

    Raises:
        InputError: it cannot be reached, is refused, holds the tables of another version, or none
            where they are not to be made.
    """
    # Optuna announces every study on standard error; the run has a display of its own.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not make:
        open_engine(url).dispose()  # Optuna would make a file that is not there
    with explained(url, StorageInternalError):
        storage = _made(url) if make else _opened(url, make=False)
    if url.kind == "sqlite":
        event.listen(storage.engine, "connect", write_ahead)
        storage.engine.dispose()  # the connections from before have not heard of it
    return storage


def _made(url: StorageURL) -> RDBStorage:
    for attempt in range(_TRIES):
        try:
            storage = _opened(url, make=True)
            METADATA.create_all(storage.engine)
        except (SQLAlchemyError, StorageInternalError):
            # Another process was quicker with a table: the next look finds it made.
            if attempt == _TRIES - 1:
                raise
            time.sleep(0.2 * 2**attempt)
        else:
            return storage
    raise AssertionError("unreachable")


def _opened(url: StorageURL, *, make: bool) -> RDBStorage:
    try:
        return RDBStorage(
            url.with_secrets(),
            engine_kwargs=engine_options(url),
            skip_table_creation=not make,
        )
    except RuntimeError as error:
        # Optuna's own word for tables of another version.
        raise InputError(
            f"the storage must hold tables of this Optuna ({optuna.__version__}): "
            f"{url.shown}: {reason(url, error)}"
        ) from None


def close_storage(storage: RDBStorage) -> None:
    """Let go of a storage's connections that this thread, and nobody, holds."""
    storage.remove_session()
    storage.engine.dispose()


class StudyStore:
    """The climbs of one study.

    Trials of a study that some other program made are not climbs, and are passed over.

    Args:
        storage: where the study is.
        name: of the study, which is made if need be.
        settings: what its climbs vary.
    """

    def __init__(self, storage: RDBStorage, name: str, settings: StudySettings) -> None:
        self._settings = settings
        self._storage = storage
        self._study = optuna.create_study(
            study_name=name, storage=storage, direction="maximize", load_if_exists=True
        )
        #: Keys of the climbs that are there, as far as this process put them in or saw them;
        #: ``None`` where it cannot know.
        self._known: set[tuple[int, int]] | None = None

    def close(self) -> None:
        """Let go of the connections that this thread, and nobody, holds."""
        close_storage(self._storage)

    def add(self, record: ClimbRecord) -> None:
        """Put a climb in, unless it is there.

        One process alone hands in a worker's climbs, so that nobody else puts it in between the
        look and the insertion, which is one transaction. Where that failed, it may be there or
        not: the next look tells.
        """
        if self._known is None:
            self.records()
        known, self._known = self._known or set(), None
        if record.key not in known:
            self._study.add_trial(record.trial(self._settings))
            known.add(record.key)
        self._known = known

    def records(self) -> list[ClimbRecord]:
        """Return the climbs, each once, in the order of their arrival."""
        trials = self._study.get_trials(
            deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)
        )
        found: dict[tuple[int, int], ClimbRecord] = {}
        for trial in trials:
            record = ClimbRecord.of_trial(trial)
            if record is not None:
                found.setdefault(record.key, record)
        self._known = set(found)
        return list(found.values())


class StudyFile:
    """The exchange of a search on its own: an SQLite file.

    Args:
        path: of the file, made if need be.
        settings: what its climbs vary.
    """

    def __init__(self, path: Path, settings: StudySettings) -> None:
        storage = open_storage(StorageURL.of_file(path), make=True)
        self._store = StudyStore(storage, STUDY_NAME, settings)
        self._ended = self._store.records()

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def hand_in(self, record: ClimbRecord) -> None:
        """Put a climb into the file, unless it is there."""
        if all(known.key != record.key for known in self._ended):
            self._store.add(record)
            self._ended.append(record)

    def ended(self) -> Sequence[ClimbRecord]:
        """Return the climbs that ended, in their order."""
        return self._ended

    def elite(self) -> Elite | None:
        """Return nothing: there is nobody else."""
        return None

    def marks(self) -> Sequence[Mark]:
        """Return nothing: there is nobody else."""
        return ()
