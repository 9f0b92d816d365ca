"""The pair model: predicts a token replacement's score from the static vectors of both tokens.

It takes the change of the string's vector to be linear in the static vectors s (of tokens encoded
alone) of the token put in, t, and the one taken out, o: ``δ = (A s_t - B s_o + b) / n``, with A, B
and b learned from propagated replacements (or, without propagation, from evaluated ones). At first
A and B are multiples of the identity, which is matching pursuit.

Symbols: A allowed tokens, S of them looked at in a step, L tokens of the body, n tokens of the
whole string with the special ones, d width of the vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch

from mean_prompt.objective import Expansion, Vectors, to_numpy
from mean_prompt.optimize.combinations import LEAST_SQUARED_LENGTH
from mean_prompt.optimize.ridge import RecursiveRidge
from mean_prompt.system import State

#: Pull towards matching pursuit, the rows being about 1 long, the weight of the past after each
#: step (about 30 steps count), and steps between two solutions.
_RIDGE: Final = 3.0
_DECAY: Final = 0.97
_SOLVE_EVERY: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class TokenTable:
    """The allowed tokens' static vectors, as the pair models of all climbs use them.

    Attributes:
        static: (A + 1, d) centred vectors, about 1 long; the last row, of zeros, stands for a token
            that is not allowed, which has index -1.
        many: (A, d) the same without it, in the dtype for products over many tokens.
        length: mean length of the centred vectors before they were scaled.
    """

    static: torch.Tensor
    many: torch.Tensor
    length: float

    @classmethod
    def of(cls, vectors: Vectors, *, fast: bool) -> TokenTable:
        """Return the table of (A, d) vectors of the allowed tokens on their own.

        If ``fast``, products over many tokens run in bfloat16. They took a fifth of a step in
        float32, and only rank tokens.
        """
        rows = torch.from_numpy(vectors)
        centred = rows - rows.mean(dim=0)
        length = float(centred.norm(dim=1).mean()) or 1.0
        static = torch.vstack([centred / length, torch.zeros_like(centred[:1])])
        return cls(static, static[:-1].to(torch.bfloat16 if fast else torch.float32), length)


class PairModel:
    """Predicts how replacing a token changes a string's vector, from vectors of both tokens."""

    def __init__(self, table: TokenTable) -> None:
        self._static, self._many = table.static, table.many
        d = self._static.shape[1]
        prior = torch.cat([torch.eye(d), torch.eye(d), torch.zeros(1, d)]) * table.length
        self._ridge = RecursiveRidge(prior, ridge=_RIDGE, decay=_DECAY, solve_every=_SOLVE_EVERY)
        self._put_in = self._many * table.length

    def learn(
        self, tokens: torch.Tensor, held: torch.Tensor, changes: torch.Tensor, n: int
    ) -> None:
        """Learn from B replacements (indices of new and old tokens) and their (B, d) changes."""
        if self._ridge.observe(self._rows(tokens, held), changes * n):
            self._put_in = self._changes_put_in()

    def changes(self, tokens: torch.Tensor, held: torch.Tensor, n: int) -> torch.Tensor:
        """Return the (B, d) predicted changes of the string's vector by B replacements."""
        return self._rows(tokens, held) @ self._ridge.weights / n

    def scores(
        self,
        expansion: Expansion,
        here: torch.Tensor,
        held: torch.Tensor,
        sample: torch.Tensor,
        n: int,
    ) -> tuple[torch.Tensor, Vectors]:
        """Return the string's expected score after each replacement (L, S), each removal (L,).

        With ``δ = u - r``, u for the token put in and r for the one taken out, every term of the
        expansion is a product of two vectors, so that all pairs cost one matrix product.
        """
        value, gradient, curvature = expansion.value, *(part.cpu() for part in expansion[1:])
        many = self._put_in[sample]
        put_in = many.float() / n
        weights = self._ridge.weights
        taken = (self._static[held] @ weights[len(here) : -1] - weights[-1]) / n
        bent = taken @ curvature
        inner = torch.stack([gradient, here, *bent, *taken])
        products = put_in @ inner.T
        length = len(held)
        squares = ((many @ curvature.to(many.dtype)).float() * put_in).sum(dim=1) / n
        numerator = (
            value
            + (products[:, 0] + squares)[None]
            - (taken @ gradient - (taken * bent).sum(dim=1))[:, None]
            - 2 * products[:, 2 : 2 + length].T
        )
        lengths = (
            1.0
            + (2 * products[:, 1] + put_in.square().sum(dim=1))[None]
            - (2 * taken @ here - taken.square().sum(dim=1))[:, None]
            - 2 * products[:, 2 + length :].T
        )
        table = numerator / lengths.clamp(min=LEAST_SQUARED_LENGTH).pow(1.5)
        return table, scores_after(expansion, here, -taken)

    def _changes_put_in(self) -> torch.Tensor:
        """Return n times the part of the vector's change due to each token put in: (A, d)."""
        return self._many @ self._ridge.weights[: self._many.shape[1]].to(self._many.dtype)

    def _rows(self, tokens: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
        ones = torch.ones((len(tokens), 1))
        # The bias belongs to the token taken out: b stands beside -B s_o.
        return torch.cat([self._static[tokens], -self._static[held], ones], dim=1)

    def state(self) -> State:
        """Return the learned weights for a checkpoint."""
        return self._ridge.state()

    def restore(self, state: State) -> None:
        """Restore the learned weights from what :meth:`state` returned."""
        self._ridge.restore(state)
        self._put_in = self._changes_put_in()


def scores_after(expansion: Expansion, here: torch.Tensor, changes: torch.Tensor) -> Vectors:
    """Return the expected score after each change of a string's unit vector: (B, d) -> (B,)."""
    gradient, curvature = (part.cpu() for part in expansion[1:])
    numerator = expansion.value + changes @ gradient + ((changes @ curvature) * changes).sum(dim=1)
    squared = (here + changes).square().sum(dim=1).clamp(min=LEAST_SQUARED_LENGTH)
    return to_numpy(numerator / squared.pow(1.5))
