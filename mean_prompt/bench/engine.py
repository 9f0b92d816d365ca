"""The search of ``mean-prompt search`` (an Optuna study over annealed climbs), as a benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from mean_prompt.bench.method import OWN, SearchTask
from mean_prompt.optimize import (
    CLIMBER,
    Candidate,
    Climber,
    ClimbSettings,
    ClimbStudy,
    Sampling,
    StudySettings,
)
from mean_prompt.system import Here, Team


class Engine:
    """The search of ``mean-prompt search``, as one of the methods that a benchmark compares.

    Args:
        climbers: climbs that run side by side, here by turns in this process.
    """

    name: ClassVar[str] = OWN

    def __init__(
        self,
        climb: ClimbSettings | None = None,
        study: StudySettings | None = None,
        *,
        climbers: int = 1,
    ) -> None:
        self._climb = climb or ClimbSettings()
        self._study = study or StudySettings()
        self._climbers = climbers

    def search(self, task: SearchTask, start: Candidate | None = None) -> Iterator[Candidate]:
        """Search until the budget expires, yielding the best string; continue from any start."""
        starts = [*([start] if start else []), *task.starts]
        best = max(starts, key=lambda row: row.score)
        yield best
        budget, evaluator = task.evaluator.budget, task.evaluator
        if budget.expired():
            return
        settings = self._study if start is None else self._study.from_elite()
        sampling = Sampling(settings, self._climb, seed=task.seed)
        rate = evaluator.measure_rate(evaluator.rules.room) / self._climbers
        team = Team(Here(), self._climbers)
        team.give(CLIMBER, Climber(sampling, starts, task.vocabulary, evaluator, task.ceiling))
        study = ClimbStudy(
            settings,
            self._climb,
            best,
            team,
            budget=budget,
            rate=rate,
            seed=task.seed,
        )
        for _ in study.run():
            yield study.elite
