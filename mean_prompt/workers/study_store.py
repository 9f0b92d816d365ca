"""The climbs of a shared study: each once, whatever happens on the way."""

from __future__ import annotations

import sqlite3
from typing import Final

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from mean_prompt.optimize import ClimbRecord, StudySettings

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
