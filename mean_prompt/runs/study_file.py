"""Climbs that ended, kept in an Optuna study: each once, whatever happens on the way."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
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
    """Close a storage's connections that this thread, and no other, holds."""
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
        storage = _open_file(path)
        self._store = StudyStore(storage, STUDY_NAME, settings)
        self._ended = self._store.records()

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def add(self, record: ClimbRecord) -> None:
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
