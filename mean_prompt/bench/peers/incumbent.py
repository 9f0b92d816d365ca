"""The loop of all published search methods: they score strings and keep the best string."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from mean_prompt.bench.method import SearchTask
from mean_prompt.encoder import TokenIds
from mean_prompt.optimize import CONTENDERS, SCREENING_NOISE, Candidate

#: Most strings scored before the budget is checked again. On a CPU 64 strings of 64 tokens take
#: two seconds with a T5 of base size, which the budget reserves for the last scores; larger batches
#: are no faster there. On other devices a pass costs as much for few strings as for many.
_CPU_BATCH: Final = 64
_BATCH: Final = 512


class Incumbent:
    """The best string of a search so far, by its float32 score; at first the start string."""

    def __init__(self, task: SearchTask, start: Candidate | None) -> None:
        self.best = start or task.starts[0]
        self._evaluator = task.evaluator
        self._noise = SCREENING_NOISE * task.ceiling
        self._batch = _CPU_BATCH if task.evaluator.encoder.device == "cpu" else _BATCH
        # The best string's score in the screening dtype, with which candidates' are compared.
        self._bar: float | None = None
        self._judged = {self.best.text}

    def screen(self, bodies: Sequence[TokenIds]) -> list[Candidate | None]:
        """Score token sequences in a fast dtype until the budget ends, and update the best string.

        At least one evaluation is always spent: otherwise a search whose proposals all break a rule
        would not end.

        Returns:
            One entry per sequence, in order; ``None`` if it breaks a rule or the budget ended.
        """
        budget = self._evaluator.budget
        spent = budget.evaluations
        found: list[Candidate | None] = []
        for first in range(0, len(bodies), self._batch):
            if budget.expired():
                break
            found += self._evaluator.screen(bodies[first : first + self._batch])
        self._take_best([row for row in found if row is not None])
        if budget.evaluations == spent:
            budget.spend(1)
        return found + [None] * (len(bodies) - len(found))

    def _take_best(self, screened: Sequence[Candidate]) -> None:
        if not screened:
            return
        if self._bar is None:
            again = self._evaluator.screen([self.best.body])[0]
            self._bar = again.score if again else self.best.score
        bar = self._bar - self._noise
        fresh = {
            row.text: row for row in screened if row.score > bar and row.text not in self._judged
        }
        contenders = sorted(fresh.values(), key=lambda row: -row.score)[:CONTENDERS]
        self._judged.update(row.text for row in contenders)
        for row, exact in zip(contenders, self._evaluator.exact(contenders), strict=True):
            if exact.score > self.best.score:
                self.best, self._bar = exact, row.score


class Peer(ABC):
    """A published search method, which scores strings by an :class:`Incumbent`."""

    def search(self, task: SearchTask, start: Candidate | None = None) -> Iterator[Candidate]:
        """Yield the best string so far after every step, until the task's budget expires."""
        incumbent = Incumbent(task, start)
        yield incumbent.best
        steps = self.steps(task, incumbent, np.random.default_rng(task.seed))
        while not task.evaluator.budget.expired():
            next(steps)
            yield incumbent.best

    @abstractmethod
    def steps(
        self, task: SearchTask, incumbent: Incumbent, rng: np.random.Generator
    ) -> Iterator[None]:
        """Search without an end: after each step, yield to have the budget checked."""
