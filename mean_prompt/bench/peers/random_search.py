"""Random search, which any other method must beat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mean_prompt.bench.method import SearchTask
from mean_prompt.bench.peers.incumbent import Incumbent
from mean_prompt.encoder import TokenIds
from mean_prompt.optimize import Candidate


@dataclass(frozen=True, slots=True)
class RandomSearch:
    """A (1 + lambda) random local search.

    Each step makes ``batch`` single edits of the best string, with tokens and positions drawn
    uniformly, and keeps the best string. A position can be replaced by every allowed token, but
    deleted in one way only, so that deletions are drawn least.

    Attributes:
        batch: lambda, number of edits tried in a step.
        insert: share of insertions; what ``replace`` leaves are deletions.
    """

    name: ClassVar[str] = "random"
    batch: int = 64
    replace: float = 0.6
    insert: float = 0.3

    def search(self, task: SearchTask, start: Candidate | None = None) -> Iterator[Candidate]:
        """Search as :class:`~mean_prompt.bench.method.Method` says."""
        rng = np.random.default_rng(task.seed)
        incumbent = Incumbent(task, start)
        yield incumbent.best
        while not task.evaluator.budget.expired():
            body = incumbent.best.body
            incumbent.screen([self._edited(body, task, rng) for _ in range(self.batch)])
            yield incumbent.best

    def _edited(self, body: TokenIds, task: SearchTask, rng: np.random.Generator) -> TokenIds:
        """Return the body after one edit; one that cannot be made becomes a replacement."""
        token = int(rng.choice(task.vocabulary.allowed))
        draw = rng.random()
        at = int(rng.integers(len(body)))
        if draw < self.insert and len(body) < task.evaluator.rules.room:
            at = int(rng.integers(len(body) + 1))
            return (*body[:at], token, *body[at:])
        if draw >= self.insert + self.replace and len(body) > 1:
            return (*body[:at], *body[at + 1 :])
        return (*body[:at], token, *body[at + 1 :])
