"""Padding, linear ranking and replacements, shared by the coordinate methods (GCG, GASLITE).

Symbols: A allowed tokens, L tokens of the body, h width of the input embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from mean_prompt.bench.method import SearchTask
from mean_prompt.bench.peers.incumbent import Incumbent
from mean_prompt.encoder import Encoder, TokenIds
from mean_prompt.objective import Vectors
from mean_prompt.optimize import Candidate, Rules

_FILLER: Final = "!"


@dataclass(frozen=True, slots=True, eq=False)
class LinearModel:
    """Ranks replacements by the objective's first-order change.

    Symbols: (A,) ids of the allowed tokens, (A, h) their embeddings, on the encoder's device.
    """

    allowed: NDArray[np.int64]
    embeddings: torch.Tensor

    @classmethod
    def of(cls, task: SearchTask) -> LinearModel:
        """Return the model of a task's vocabulary."""
        allowed = task.vocabulary.allowed
        return cls(allowed, task.evaluator.encoder.input_embeddings()[allowed])

    def best_tokens(self, gradients: Vectors, count: int) -> NDArray[np.int64]:
        """Return the ids of largest predicted gain at each position: (L, h) -> (L, min(count, A)).

        Replacing the token at position i by v changes f by about (E_v - E_now) · g_i; E_now is
        the same for all v. Both papers minimise a loss, hence their minus signs.
        """
        products = torch.from_numpy(gradients).to(self.embeddings) @ self.embeddings.T
        top = products.topk(min(count, len(self.allowed)), dim=1).indices
        tokens: NDArray[np.int64] = self.allowed[top.cpu().numpy()]
        return tokens


def padded(
    task: SearchTask, start: Candidate, incumbent: Incumbent, rng: np.random.Generator
) -> Candidate:
    """Return a start filled up with "!" to the token limit, screened.

    The papers begin with "!" only (GCG) or a text (GASLITE) of the length attacked, since neither
    method changes the length. Here every method gets the same best corpus prompt, and these two
    get as many tokens as the others may use. If "!" is not allowed, or runs of it merge in the
    tokenizer, random words fill the string up.
    """
    room = task.evaluator.rules.room
    missing = room - len(start.body)
    found = incumbent.screen([(*start.body, *filling) for filling in _fillings(task, missing, rng)])
    fitting = [row for row in found if row is not None]
    return max(fitting, key=lambda row: len(row.body), default=start)


def body_gradients(gradients: Vectors, body_length: int, rules: Rules) -> Vectors:
    """Return the rows of the body's tokens: (n, tokens of the whole string, h) -> (n, L, h).

    If the body's ends merge with prefix or suffix, the nearest row is used.
    """
    rows = rules.frame_tokens[0] + np.arange(body_length)
    inside: Vectors = gradients[:, np.minimum(rows, gradients.shape[1] - 1)]
    return inside


def replaced(body: TokenIds, position: int, token: int) -> TokenIds:
    """Return the body with another token at a position."""
    return (*body[:position], token, *body[position + 1 :])


def of_same_length(bodies: Sequence[TokenIds], encoder: Encoder) -> list[TokenIds]:
    """Keep the distinct bodies that the tokenizer reads back with as many tokens.

    The authors of both methods drop the others too: without insertions, a search whose tokens
    merge could never get its length back. Dropping them unscored saves evaluations.
    """
    distinct = list(dict.fromkeys(bodies))
    read_back = encoder.tokenize(encoder.decode(distinct))
    return [body for body, ids in zip(distinct, read_back, strict=True) if len(ids) == len(body)]


def _fillings(task: SearchTask, missing: int, rng: np.random.Generator) -> list[TokenIds]:
    """Return ways to fill up, best first: "!" as words of their own, "!" in a run, words."""
    rules = task.evaluator.rules
    allowed = task.vocabulary.allowed
    marks = [int(token) for token in allowed if rules.surfaces[token] == _FILLER]
    marks.sort(key=lambda token: not rules.starts_word[token])
    words = allowed[rules.starts_word[allowed]]
    drawn = rng.choice(words if len(words) else allowed, missing)
    return [*((mark,) * missing for mark in marks), tuple(drawn.tolist())]
