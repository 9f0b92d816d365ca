"""Climbs that ended, kept in an Optuna study: each once, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from mean_prompt.optimize.exchange import Elite
from mean_prompt.optimize.sampling import ClimbRecord, StudySettings

STUDY_NAME: Final = "mean-prompt"
#: Seconds that a connection waits for another process's write to an SQLite file.
SQLITE_PATIENCE: Final = 60.0


class StudyStore:
    """The climbs of one study.

    Trials of a study that some other program made are not climbs, and are passed over.

    Args:
        storage: where the study is.
        name: of the study, which is made if need be.
        settings: what its climbs vary.
    """

    def __init__(self, storage: RDBStorage, name: str, settings: StudySettings) -> None:
        # Optuna announces every study on standard error; the run has a display of its own.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._settings = settings
        self._study = optuna.create_study(
            study_name=name, storage=storage, direction="maximize", load_if_exists=True
        )

    def add(self, record: ClimbRecord) -> None:
        """Put a climb in, unless it is there.

        One process alone hands in a worker's climbs, so that nobody else puts it in between the
        look and the insertion, which is one transaction.
        """
        if all(known.key != record.key for known in self.records()):
            self._study.add_trial(record.trial(self._settings))

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
        return list(found.values())


class StudyFile:
    """The exchange of a search on its own: an SQLite file.

    Args:
        path: of the file, made if need be.
        settings: what its climbs vary.
    """

    def __init__(self, path: Path, settings: StudySettings) -> None:
        self._store = StudyStore(sqlite_storage(path), STUDY_NAME, settings)
        self._ended = self._store.records()

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


def sqlite_storage(path: Path) -> RDBStorage:
    """Return the Optuna storage of an SQLite file."""
    options: dict[str, Any] = {"connect_args": {"timeout": SQLITE_PATIENCE}}
    return RDBStorage(f"sqlite:///{path.resolve()}", engine_kwargs=options)
