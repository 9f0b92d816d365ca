"""The search of ``mean-prompt search`` (an Optuna study over annealed climbs), as a benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from mean_prompt.bench.method import OWN, SearchTask
from mean_prompt.optimize import Candidate, ClimbSettings, ClimbStudy, StudySettings


class Engine:
    """The search of ``mean-prompt search``, as one of the methods that a benchmark compares."""

    name: ClassVar[str] = OWN

    def __init__(
        self, climb: ClimbSettings | None = None, study: StudySettings | None = None
    ) -> None:
        self._climb = climb or ClimbSettings()
        self._study = study or StudySettings()

    def search(self, task: SearchTask, start: Candidate | None = None) -> Iterator[Candidate]:
        """Search until the budget expires, yielding the best string; continue from any start."""
        starts = [*([start] if start else []), *task.starts]
        yield max(starts, key=lambda row: row.score)
        if task.evaluator.budget.expired():
            return
        study = ClimbStudy(
            self._study if start is None else self._study.from_elite(),
            self._climb,
            starts,
            task.vocabulary,
            task.evaluator,
            ceiling=task.ceiling,
            rate=task.evaluator.measure_rate(task.evaluator.rules.room),
            seed=task.seed,
        )
        for _ in study.run():
            yield study.elite
