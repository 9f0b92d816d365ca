"""Simulates many workers in one process, on a clock that counts evaluations; their steps are real.

What they find depends on how many evaluations each has made, and on what each knows of the others
at that moment; both are as with equally fast processes that exchange their results at once.
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

#: Points of a curve.
POINTS: Final = 20


@dataclass(slots=True)
class _Board:
    """The results that all workers know of each other."""

    ended: dict[tuple[int, int], ClimbRecord] = field(default_factory=dict)
    elites: dict[int, Elite] = field(default_factory=dict)
    marks: dict[int, Mark] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Seat:
    """The board of one worker."""

    board: _Board
    worker: int

    def add(self, record: ClimbRecord) -> None:
        """Keep a climb that ended."""
        self.board.ended.setdefault(record.key, record)

    def ended(self) -> Sequence[ClimbRecord]:
        """Return all climbs that ended."""
        return list(self.board.ended.values())

    def elite(self) -> Elite | None:
        """Return the best string of the others."""
        others = [elite for worker, elite in self.board.elites.items() if worker != self.worker]
        return max(others, key=lambda elite: elite["score"], default=None)

    def marks(self) -> Sequence[Mark]:
        """Return the state of the others' climbs."""
        return [mark for worker, mark in self.board.marks.items() if worker != self.worker]


class VirtualCrew:
    """Workers on one corpus.

    Args:
        corpus: prompts, as for search.
        model: as for search.
        max_tokens: of the strings.
        device: that the model runs on.
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
        """Let workers climb, and return the best share of the ceiling at each point of the way.

        Args:
            workers: how many.
            evaluations: of each.
            seed: of the run.
            together: whether they know of each other.
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
