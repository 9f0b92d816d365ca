"""Random local search over token sequences, the baseline that any other method must beat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mean_prompt.bench.method import SearchTask
from mean_prompt.bench.peers.incumbent import Incumbent, Peer
from mean_prompt.encoder import TokenIds


@dataclass(frozen=True, slots=True)
class RandomSearch(Peer):
    """A (1 + lambda) random local search: tries random edits of the best string and keeps the best.

    Tokens and positions are drawn uniformly. A token can be replaced by every allowed token, but
    deleted in one way only, so that deletions are drawn least.

    Attributes:
        batch: lambda, number of edits tried in a step.
        insert: share of insertions; after these and the share ``replace`` the rest are deletions.
    """

    name: ClassVar[str] = "random"
    batch: int = 64
    replace: float = 0.6
    insert: float = 0.3

    def steps(
        self, task: SearchTask, incumbent: Incumbent, rng: np.random.Generator
    ) -> Iterator[None]:
        """In each step, score a batch of random edits of the best string."""
        while True:
            body = incumbent.best.body
            incumbent.screen([self._edited(body, task, rng) for _ in range(self.batch)])
            yield

    def _edited(self, body: TokenIds, task: SearchTask, rng: np.random.Generator) -> TokenIds:
        """Return token ids after a random edit; an impossible one becomes a replacement."""
        token = int(rng.choice(task.vocabulary.allowed))
        draw = rng.random()
        at = int(rng.integers(len(body)))
        if draw < self.insert and len(body) < task.evaluator.rules.room:
            at = int(rng.integers(len(body) + 1))
            return (*body[:at], token, *body[at:])
        if draw >= self.insert + self.replace and len(body) > 1:
            return (*body[:at], *body[at + 1 :])
        return (*body[:at], token, *body[at + 1 :])
