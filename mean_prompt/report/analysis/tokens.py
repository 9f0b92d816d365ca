"""Contribution (worth) of each token to a string's score, by leaving the token out."""

from __future__ import annotations

from typing import Final

import numpy as np

from mean_prompt.encoder import Encoder
from mean_prompt.objective import Objective
from mean_prompt.report.analysis.data import TokenWorth
from mean_prompt.system import Deadline

#: Strings encoded between two checks of the deadline.
_CHUNK: Final = 32


def token_worths(
    text: str, encoder: Encoder, objective: Objective, *, deadline: Deadline | None = None
) -> tuple[TokenWorth, ...]:
    """Return each token's worth: the string's score, less its score without the token.

    The string without a token is the remaining ids decoded and tokenized again, because strings
    are scored, and the token's neighbours may merge.

    Only tokens within the model's length limit have a worth. The deadline is checked between
    batches of strings, and raises :class:`OutOfTimeError` once it has expired.
    """
    pieces, without = left_out(text, encoder)
    if not pieces:
        return ()
    strings = ["".join(pieces), *without]
    parts = []
    for first in range(0, len(strings), _CHUNK):
        if deadline:
            deadline.check()
        parts.append(objective.score(encoder.encode(strings[first : first + _CHUNK])))
    scores = np.concatenate(parts).tolist()
    return tuple(
        TokenWorth(piece=piece, worth=scores[0] - score)
        for piece, score in zip(pieces, scores[1:], strict=True)
    )


def left_out(text: str, encoder: Encoder) -> tuple[list[str], list[str]]:
    """Return a string's parts, one per token that the model reads, and the string without each."""
    read = encoder.tokenizer.encode(text, add_special_tokens=False)
    ids = tuple(read.ids[: encoder.max_tokens])
    if not ids:
        return [], []
    without = encoder.decode([ids[:i] + ids[i + 1 :] for i in range(len(ids))])
    return pieces_of(text, read.offsets, len(ids)), without


def pieces_of(text: str, offsets: list[tuple[int, int]], count: int) -> list[str]:
    """Split a string into one part per token, for the first ``count`` tokens.

    What lies between two tokens, such as a blank that the tokenizer drops, goes to the second.

    Args:
        text: the string.
        offsets: first and end character of each token of the string.
        count: number of tokens that the model reads.
    """
    ends = [end for _, end in offsets[:count]]
    last = len(text) if len(offsets) == count else ends[-1]
    bounds = [0, *ends[:-1], last]
    return [text[bounds[i] : bounds[i + 1]] for i in range(count)]
