"""Simulate many parallel search workers in one process, in turn; their search steps are real.

A worker's result depends on its number of evaluations and on the other workers' results known to it
at each moment; both are as with equally fast processes that exchange results immediately.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mean_prompt.bench import Arena
from mean_prompt.corpus import Corpus
from mean_prompt.encoder import load_encoder
from mean_prompt.optimize import (
    Budget,
    ClimbRecord,
    ClimbStudy,
    Constraints,
    Elite,
    Mark,
)
from mean_prompt.runs import Recipe, SearchInputs

#: Number of points of a curve of the best score by evaluations.
POINTS: Final = 20


@dataclass(slots=True)
class _Board:
    """The results that simulated workers share: ended climbs, best strings, running climbs."""

    ended: dict[tuple[int, int], ClimbRecord] = field(default_factory=dict)
    elites: dict[int, Elite] = field(default_factory=dict)
    marks: dict[int, Mark] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Seat:
    """One simulated worker's access to the shared results."""

    board: _Board
    worker: int

    def add(self, record: ClimbRecord) -> None:
        """Add the record of an ended climb (one local search) to the shared results."""
        self.board.ended.setdefault(record.key, record)

    def ended(self) -> Sequence[ClimbRecord]:
        """Return the records of all workers' ended climbs."""
        return list(self.board.ended.values())

    def elite(self) -> Elite | None:
        """Return the best string that another worker found, or ``None``."""
        others = [elite for worker, elite in self.board.elites.items() if worker != self.worker]
        return max(others, key=lambda elite: elite["score"], default=None)

    def marks(self) -> Sequence[Mark]:
        """Return the progress of the other workers' running climbs."""
        return [mark for worker, mark in self.board.marks.items() if worker != self.worker]


class VirtualCrew:
    """Simulates parallel search workers on one corpus, in this process.

    Args:
        corpus: file of prompts, as for ``mean-prompt search``.
        model: name of a model, as for ``mean-prompt search``.
        max_tokens: most tokens of the strings searched.
        device: torch's name of the device that the model runs on.
    """

    def __init__(self, corpus: Path, model: str, max_tokens: int, device: str = "cpu") -> None:
        self._recipe = Recipe(constraints=Constraints(max_tokens=max_tokens))
        untimed = Budget(max_evaluations=10**9)
        encoder, prompts = load_encoder(model, device=device), Corpus.from_files(corpus)
        self._arena = Arena(SearchInputs(prompts, encoder, self._recipe, untimed))
        evaluator = self._arena.task(untimed, 0).evaluator
        self._rate = evaluator.measure_rate(evaluator.rules.room)

    def run(
        self, workers: int, evaluations: int, seed: int, *, together: bool = True
    ) -> list[float]:
        """Simulate a search by workers; return the best score so far at evenly spaced points.

        Args:
            workers: number of workers.
            evaluations: number of evaluations that each worker makes.
            seed: random seed of the run.
            together: whether the workers share their results.
        """
        board = _Board()
        studies = []
        for worker in range(workers):
            seat = _Seat(board if together else _Board(), worker)
            studies.append(self._study(seat, evaluations, seed, workers))
        steps = [study.run() for study, _ in studies]
        best, curve = 0.0, [0.0] * POINTS
        going = set(range(workers))
        while going:
            # The worker that has spent least is next, as if all shared a clock.
            turn = min(going, key=lambda worker: studies[worker][1].evaluations)
            study, budget = studies[turn]
            if next(steps[turn], None) is None:
                going.discard(turn)
                continue
            board.elites[turn] = Elite(body=list(study.elite.body), score=study.elite.score)
            if study.mark is not None:
                board.marks[turn] = study.mark
            best = max(best, study.elite.score / self._arena.problem.train_ceiling)
            point = min(POINTS - 1, int(budget.fraction() * POINTS))
            curve[point] = best
        for point in range(1, POINTS):
            curve[point] = max(curve[point], curve[point - 1])
        return curve

    def _study(
        self, seat: _Seat, evaluations: int, seed: int, workers: int
    ) -> tuple[ClimbStudy, Budget]:
        budget = Budget(None, evaluations)
        task = self._arena.task(budget, seed)
        settings = self._recipe.study
        study = ClimbStudy(
            settings if workers == 1 else settings.model_copy(update={"rivals": 1}),
            self._recipe.climb,
            list(task.starts),
            task.vocabulary,
            task.evaluator,
            ceiling=task.ceiling,
            rate=self._rate,
            seed=seed,
            board=seat,
            worker=seat.worker,
        )
        return study, budget
