"""Record of a search's finished climbs (local searches from one start) in an Optuna study."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import URL, event
from sqlalchemy.exc import SQLAlchemyError

from mean_prompt.optimize import ClimbRecord, StudySettings
from mean_prompt.system import InputError

STUDY_NAME: Final = "mean-prompt"
#: Seconds that a connection waits for SQLite's lock.
_PATIENCE: Final = 60.0


class StudyFile:
    """The finished climbs of a search: an Optuna study in an SQLite file.

    Trials that another program added to the study are no climbs, and are ignored.

    Args:
        ended: numbers of the climbs that had ended when the search was saved. Later climbs in the
            file are repeated, and are not added twice.
    """

    def __init__(self, path: Path, settings: StudySettings, ended: Iterable[int] = ()) -> None:
        self._settings = settings
        self._storage = _open_file(path)
        self._study = optuna.create_study(
            study_name=STUDY_NAME,
            storage=self._storage,
            direction="maximize",
            load_if_exists=True,
        )
        trials = self._study.get_trials(
            deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)
        )
        records = filter(None, map(ClimbRecord.of_trial, trials))
        self._kept = {record.number: record for record in records}
        self._ended = [self._kept[number] for number in ended if number in self._kept]

    def close(self) -> None:
        """Close the connections to the SQLite file."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def add(self, record: ClimbRecord) -> None:
        """Add a finished climb to the study, unless the file already holds it."""
        if record.number not in self._kept:
            self._study.add_trial(record.trial(self._settings))
            self._kept[record.number] = record
        self._ended.append(record)

    def ended(self) -> list[ClimbRecord]:
        """Return the records of the finished climbs, in the order in which they ended."""
        return self._ended


def _write_ahead(connection: sqlite3.Connection, _record: object) -> None:
    """Switch an SQLite connection to write-ahead logging: readers do not block the writer."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _open_file(path: Path) -> RDBStorage:
    # Optuna announces every study on standard error; the run has a display of its own.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = URL.create("sqlite", database=str(path.absolute())).render_as_string()
    try:
        storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": _PATIENCE}})
    except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        # Optuna raises RuntimeError for tables of another version.
        cause = getattr(error.__cause__ or error, "orig", None) or error
        raise InputError(
            f"a run's study must be an SQLite file of this Optuna ({optuna.__version__}): {path}: "
            f"{str(cause).splitlines()[0]}; fix its rights or its disk, or choose another folder"
        ) from error
    event.listen(storage.engine, "connect", _write_ahead)
    storage.engine.dispose()  # the connections from before were opened without the listener
    return storage
