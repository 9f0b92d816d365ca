"""Which tokens, positions and phrases are worth an evaluation at a string.

Symbols: A allowed tokens, F phrases, L tokens of the body, d width of the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from mean_prompt.constraints import Rules
from mean_prompt.encoder import Encoder
from mean_prompt.objective import ExpectedSCS, Vectors, to_numpy
from mean_prompt.optimize.evaluator import Candidate
from mean_prompt.optimize.gain_model import NOTHING, GainModel, Observation
from mean_prompt.optimize.moves import MoveName, Proposal
from mean_prompt.optimize.phrases import PhraseBank

#: Steps between two gradients, and vacant positions averaged in each: a gradient costs about as
#: much as six screened strings.
_GRADIENT_EVERY: Final = 15
_GRADIENT_POSITIONS: Final = 2
_MOVES: Final = {name: number for number, name in enumerate(get_args(MoveName))}


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What every climb of a run draws from; costly, made once.

    Attributes:
        allowed: (A,) ids of the tokens that may be put in.
        static: (A, d) unit vectors of these tokens on their own.
        embeddings: (A, h) their input embeddings.
        index: (V,) number of a token among the allowed ones, or ``NOTHING``.
        phrases: F phrases with their vectors.
    """

    allowed: NDArray[np.int64]
    static: Vectors
    embeddings: Vectors
    index: NDArray[np.int64]
    phrases: PhraseBank

    @classmethod
    def gather(
        cls, rules: Rules, encoder: Encoder, static: Vectors, phrases: PhraseBank
    ) -> Material:
        """Put the pictures of the vocabulary together; ``static`` is (A, d) over ``allowed``."""
        index = np.full(len(rules.surfaces), NOTHING)
        index[rules.allowed] = np.arange(len(rules.allowed))
        embeddings = encoder.input_embeddings()[rules.allowed].cpu().numpy()
        return cls(rules.allowed, static, embeddings, index, phrases)


@dataclass(frozen=True, slots=True)
class Logits:
    """What the moves at one string draw by, each in units of its own spread.

    Attributes:
        tokens: (A,) for putting a token in.
        positions: (L,) for giving a position up.
        phrases: (F,) for putting a phrase in.
    """

    tokens: Vectors
    positions: Vectors
    phrases: Vectors


class Shortlist:
    """Ranks what could be put into a string, and learns from what was.

    Args:
        material: tokens and phrases.
        encoder: for gradients at vacant positions.
        objective: what a vector is worth.
        first: number of the body's first token in the whole string.
        ceiling: of the objective, the unit of gains.
        rng: chooses the vacant positions.
    """

    def __init__(
        self,
        material: Material,
        encoder: Encoder,
        objective: ExpectedSCS,
        *,
        first: int,
        ceiling: float,
        rng: np.random.Generator,
    ) -> None:
        self._material = material
        self._encoder = encoder
        self._objective = objective
        self._first = first
        self._ceiling = ceiling
        self._rng = rng
        self._model = GainModel(material.static, material.embeddings, moves=len(_MOVES))
        self._rankings = np.zeros((len(material.allowed), 2), np.float32)
        self._age = 0

    def logits(self, state: Candidate) -> Logits:
        """Return what to draw by at a string, and remember the rankings for :meth:`learn`."""
        tangent = self._objective.tangent_gradient(state.vector)
        self._rankings[:, 0] = _standardized(_products(self._material.static, tangent))
        if self._age % _GRADIENT_EVERY == 0:
            self._rankings[:, 1] = self._vacant_scores(state)
        self._age += 1
        gains = self._model.predict(self._rankings)
        held = self._material.index[list(state.body)]
        worth = np.where(held == NOTHING, 0.0, gains[held]).astype(np.float32)
        return Logits(
            tokens=_standardized(gains),
            positions=-_standardized(worth),
            phrases=_standardized(_products(self._material.phrases.vectors, tangent)),
        )

    def learn(self, state: Candidate, tried: Sequence[tuple[Proposal, Candidate]]) -> None:
        """Take in what proposals at a string scored, in the precision of ``state.score``."""
        self._model.observe(
            self._rankings,
            [
                Observation(
                    move=_MOVES[proposal.move],
                    token_in=self._token(proposal.token_in),
                    token_out=self._token(proposal.token_out),
                    gain=(candidate.score - state.score) / self._ceiling,
                )
                for proposal, candidate in tried
            ],
        )

    def _token(self, token: int | None) -> int:
        return NOTHING if token is None else int(self._material.index[token])

    def _vacant_scores(self, state: Candidate) -> Vectors:
        count = min(_GRADIENT_POSITIONS, len(state.body))
        positions = self._first + self._rng.choice(len(state.body), count, replace=False)
        inside = np.minimum(positions, len(state.ids) - 1)
        gradients = self._encoder.vacant_gradients(
            state.ids, inside.tolist(), self._objective.tangent_gradient
        )
        return _standardized(_products(self._material.embeddings, gradients.mean(axis=0)))


def _products(rows: Vectors, vector: Vectors) -> Vectors:
    """Return each row's product with a vector, (n, d), (d,) -> (n,), on torch's threads."""
    return to_numpy(torch.from_numpy(rows) @ torch.from_numpy(vector))


def _standardized(values: Vectors) -> Vectors:
    """Return z-scores; zeros where all values are equal."""
    spread = float(values.std()) if len(values) else 0.0
    if spread == 0.0:
        return np.zeros_like(values)
    scores: Vectors = (values - values.mean()) / np.float32(spread)
    return scores
