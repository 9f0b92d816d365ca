"""Greedy Coordinate Gradient (GCG), a gradient-guided search by single-token replacements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mean_prompt.bench.method import SearchTask
from mean_prompt.bench.peers.coordinates import (
    LinearModel,
    body_gradients,
    of_same_length,
    padded,
    replaced,
)
from mean_prompt.bench.peers.incumbent import Incumbent, Peer
from mean_prompt.encoder import TokenIds
from mean_prompt.optimize import Candidate


@dataclass(frozen=True, slots=True)
class GCG(Peer):
    """GCG: Algorithm 1 of Zou et al. 2023 (https://arxiv.org/abs/2307.15043), in its settings.

    A step computes the gradient at the input embeddings, ranks by it the ``top_k`` replacements of
    every position, draws ``batch`` single replacements with uniform position and token, and
    continues from the best of the batch, even if that is worse than before.

    Different here: the first string is the best corpus prompt filled up with "!", while the paper
    begins with "!" alone (see :func:`~mean_prompt.bench.peers.coordinates.padded`); and the search
    runs until the budget ends rather than for 500 steps.
    """

    name: ClassVar[str] = "gcg"
    top_k: int = 256
    batch: int = 512

    def steps(
        self, task: SearchTask, incumbent: Incumbent, rng: np.random.Generator
    ) -> Iterator[None]:
        """In each step, replace a token of the string; it may get worse."""
        linear = LinearModel(task)
        state = padded(task, incumbent.best, incumbent, rng)
        while True:
            yield
            found = incumbent.screen(self._drawn(state, task, linear, rng))
            # If no candidate obeys the rules, the string stays, and other tokens are drawn.
            fitting = [row for row in found if row is not None]
            state = max(fitting, key=lambda row: row.score, default=state)

    def _drawn(
        self, state: Candidate, task: SearchTask, linear: LinearModel, rng: np.random.Generator
    ) -> list[TokenIds]:
        encoder, objective = task.evaluator.encoder, task.evaluator.objective
        gradients = encoder.token_gradients([state.ids], objective.tangent_gradient)
        inside = body_gradients(gradients, len(state.body), task.evaluator.rules)[0]
        tokens = linear.best_tokens(inside, self.top_k)
        positions = rng.integers(len(state.body), size=self.batch)
        ranks = rng.integers(tokens.shape[1], size=self.batch)
        bodies = [
            replaced(state.body, position, int(tokens[position, rank]))
            for position, rank in zip(positions.tolist(), ranks.tolist(), strict=True)
        ]
        return of_same_length(bodies, encoder)
