"""Padding, gradient ranking and token replacement, shared by the methods GCG and GASLITE.

Symbols: A allowed tokens, L tokens that a method may replace, h width of the input embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class LinearModel:
    """Ranks a task's tokens as replacements by the gradient's estimate of the score's change."""

    def __init__(self, task: SearchTask) -> None:
        self._allowed = task.vocabulary.allowed  # (A,)
        self._embeddings = task.evaluator.encoder.input_embeddings()[self._allowed]  # (A, h)

    def best_tokens(self, gradients: Vectors, count: int) -> NDArray[np.int64]:
        """Return the tokens of largest predicted gain by position: (L, h) -> (L, min(count, A)).

        Replacing the token at position i by v changes f by about (E_v - E_now) · g_i; E_now is
        the same for all v. Both papers minimise a loss, hence their minus signs.
        """
        products = torch.from_numpy(gradients).to(self._embeddings) @ self._embeddings.T
        top = products.topk(min(count, len(self._allowed)), dim=1).indices
        tokens: NDArray[np.int64] = self._allowed[top.cpu().numpy()]
        return tokens


def padded(
    task: SearchTask, start: Candidate, incumbent: Incumbent, rng: np.random.Generator
) -> Candidate:
    """Return a starting string filled up with "!" to the token limit, with its score.

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
    """Return the gradients at a string's tokens between its required prefix and suffix, (n, L, h).

    If these tokens (the body) merge with prefix or suffix at the ends, the nearest row is used.
    """
    rows = rules.frame_tokens[0] + np.arange(body_length)
    inside: Vectors = gradients[:, np.minimum(rows, gradients.shape[1] - 1)]
    return inside


def replaced(body: TokenIds, position: int, token: int) -> TokenIds:
    """Return token ids with the one at a position replaced by another."""
    return (*body[:position], token, *body[position + 1 :])


def of_same_length(bodies: Sequence[TokenIds], encoder: Encoder) -> list[TokenIds]:
    """Return the distinct token sequences whose decoded text is tokenized to the same length.

    The authors of both methods drop the others too: without insertions, a string whose tokens
    merge could never get its length back. Dropping such strings unscored saves evaluations.
    """
    distinct = list(dict.fromkeys(bodies))
    read_back = encoder.tokenize(encoder.decode(distinct))
    return [body for body, ids in zip(distinct, read_back, strict=True) if len(ids) == len(body)]


def _fillings(task: SearchTask, missing: int, rng: np.random.Generator) -> list[TokenIds]:
    """Return fillings of ``missing`` tokens, best first: separate "!", a run of "!", words."""
    rules = task.evaluator.rules
    allowed = task.vocabulary.allowed
    marks = [int(token) for token in allowed if rules.surfaces[token] == _FILLER]
    marks.sort(key=lambda token: not rules.starts_word[token])
    words = allowed[rules.starts_word[allowed]]
    drawn = rng.choice(words if len(words) else allowed, missing)
    return [*((mark,) * missing for mark in marks), tuple(drawn.tolist())]
