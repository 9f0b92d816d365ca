"""GASLITE, a gradient-guided token search: the strongest published attack on dense retrievers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

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
from mean_prompt.objective import Vectors
from mean_prompt.optimize import Candidate

#: Strings whose gradients are computed before the budget is checked again, on a CPU: about two
#: seconds with 64 tokens and a T5 of base size. Other devices process all strings at once.
_CPU_GRADIENTS: Final = 8


@dataclass(frozen=True, slots=True)
class Gaslite(Peer):
    """GASLITE: Algorithm 1 of Ben-Tov and Sharif 2024 (https://arxiv.org/abs/2412.20953).

    A step averages the gradient at the input embeddings over ``n_grad`` strings, the current one
    and copies with one random token replaced. Then ``n_flip`` positions are changed one after
    another, in random order: the ``n_cand`` best replacements by that average are scored, and the
    best one is kept unless the old token scores more. The settings are the paper's.

    Different here: the first string is the best corpus prompt filled up with "!" to the token
    limit, while the paper attacks with 100 tokens after a given text; a string with fewer than
    ``n_flip`` positions has all changed; and the search runs until the budget ends, not 100 steps.
    """

    name: ClassVar[str] = "gaslite"
    n_grad: int = 50
    n_flip: int = 20
    n_cand: int = 128

    def steps(
        self, task: SearchTask, incumbent: Incumbent, rng: np.random.Generator
    ) -> Iterator[None]:
        """In each step, replace the token at one position, unless it gets worse."""
        linear = LinearModel(task)
        state = padded(task, incumbent.best, incumbent, rng)
        yield
        while True:
            tokens = linear.best_tokens(self._mean_gradient(state, task, rng), self.n_cand)
            for position in rng.permutation(len(state.body))[: self.n_flip].tolist():
                state = _flipped(state, position, tokens[position].tolist(), task, incumbent)
                yield

    def _mean_gradient(
        self, state: Candidate, task: SearchTask, rng: np.random.Generator
    ) -> Vectors:
        """Return the (L, h) gradients' sum over a string and variants, fewer if the budget ends."""
        evaluator = task.evaluator
        positions = rng.integers(len(state.body), size=self.n_grad - 1)
        flipped = np.minimum(evaluator.rules.frame_tokens[0] + positions, len(state.ids) - 1)
        tokens = rng.choice(task.vocabulary.allowed, self.n_grad - 1)
        pairs = zip(flipped.tolist(), tokens.tolist(), strict=True)
        flips = [state.ids, *(replaced(state.ids, *pair) for pair in pairs)]
        step = _CPU_GRADIENTS if evaluator.encoder.device == "cpu" else self.n_grad
        total: Vectors | None = None
        for first in range(0, len(flips), step):
            if total is not None and evaluator.budget.expired():
                break
            gradients = evaluator.encoder.token_gradients(
                flips[first : first + step], evaluator.objective.tangent_gradient
            )
            part: Vectors = gradients.sum(axis=0, keepdims=True)
            total = part if total is None else total + part
        assert total is not None
        # Only the order of the products matters: the sum ranks as the mean does.
        inside: Vectors = body_gradients(total, len(state.body), evaluator.rules)[0]
        return inside


def _flipped(
    state: Candidate, position: int, tokens: list[int], task: SearchTask, incumbent: Incumbent
) -> Candidate:
    """Return the best-scoring string among replacements at a position and the string itself."""
    if position >= len(state.body):
        return state
    bodies = [replaced(state.body, position, token) for token in tokens]
    found = incumbent.screen(of_same_length(bodies, task.evaluator.encoder))
    fitting = [row for row in found if row is not None]
    return max([state, *fitting], key=lambda row: row.score)
