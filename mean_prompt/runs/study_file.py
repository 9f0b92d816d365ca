"""The climbs of a search that ended, each once, in an Optuna study."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import URL, event
from sqlalchemy.exc import SQLAlchemyError

from mean_prompt.optimize import ClimbRecord, Elite, Mark, StudySettings
from mean_prompt.system import InputError

STUDY_NAME: Final = "mean-prompt"
#: Seconds that a connection waits for SQLite's lock.
SQLITE_PATIENCE: Final = 60.0


def write_ahead(connection: sqlite3.Connection, _record: object) -> None:
    """Let readers and one writer of an SQLite file work at the same time."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def close_storage(storage: RDBStorage) -> None:
    """Close those connections of a storage that this thread alone uses."""
    storage.remove_session()
    storage.engine.dispose()


class StudyStore:
    """The climbs of one study.

    Trials that another program made are not climbs, and are ignored.

    Args:
        storage: that holds the study.
        name: of the study, which is made if need be.
        settings: what its climbs vary.
    """

    def __init__(self, storage: RDBStorage, name: str, settings: StudySettings) -> None:
        self._settings = settings
        self._storage = storage
        self._study = optuna.create_study(
            study_name=name, storage=storage, direction="maximize", load_if_exists=True
        )
        #: Keys of the climbs in the study that this process added or read; ``None`` if that is not
        #: known.
        self._known: set[tuple[int, int]] | None = None

    def close(self) -> None:
        """Close the connections that this thread alone uses."""
        close_storage(self._storage)

    def add(self, record: ClimbRecord) -> None:
        """Add a climb, unless the study holds it.

        One process alone adds a worker's climbs, so that no other adds it between the look and the
        insertion, which is one transaction. If that fails, the climb may be in the study or not:
        the next call looks again.
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
    """The Optuna study of a search by one process: an SQLite file.

    Args:
        path: of the file, which is made if need be.
        settings: what its climbs vary.
        ended: keys of the climbs that had ended when the search was saved. Later ones in the file
            are climbed again, and are not added twice.

    Raises:
        InputError: the file cannot be opened, or is of another version of Optuna.
    """

    def __init__(
        self, path: Path, settings: StudySettings, ended: Iterable[Sequence[int]] = ()
    ) -> None:
        self._store = StudyStore(_open_file(path), STUDY_NAME, settings)
        found = {record.key: record for record in self._store.records()}
        keys = [(worker, number) for worker, number in ended]
        self._ended = [found[key] for key in keys if key in found]

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def add(self, record: ClimbRecord) -> None:
        """Add a climb that ended, unless the file holds it."""
        self._store.add(record)
        self._ended.append(record)

    def ended(self) -> Sequence[ClimbRecord]:
        """Return the climbs that ended, in their order."""
        return self._ended

    def elite(self) -> Elite | None:
        """Return ``None``: there are no other workers."""
        return None

    def marks(self) -> Sequence[Mark]:
        """Return nothing: there are no other workers."""
        return ()


def _open_file(path: Path) -> RDBStorage:
    """Open a study file, which is made if need be.

    Raises:
        InputError: it cannot be opened, or holds the tables of another Optuna.
    """
    # Optuna announces every study on standard error; the run has a display of its own.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = URL.create("sqlite", database=str(path.absolute())).render_as_string()
    try:
        storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": SQLITE_PATIENCE}})
    except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        # RuntimeError is Optuna's own word for tables of another version.
        cause = getattr(error.__cause__ or error, "orig", None) or error
        raise InputError(
            f"a run's study must be an SQLite file of this Optuna ({optuna.__version__}): {path}: "
            f"{str(cause).splitlines()[0]}; fix its rights or its disk, or choose another folder"
        ) from error
    event.listen(storage.engine, "connect", write_ahead)
    storage.engine.dispose()  # the connections from before were opened without the listener
    return storage
