"""What each token of a string is worth: the score that goes with it."""

from __future__ import annotations

from mean_prompt.analysis.data import TokenWorth
from mean_prompt.encoder import Encoder
from mean_prompt.objective import Objective


def token_worths(text: str, encoder: Encoder, objective: Objective) -> tuple[TokenWorth, ...]:
    """Return leave-one-out worths: f of the string, less f of the string without the token.

    The string without a token is what the remaining ids spell, tokenized anew: strings are what
    is scored, and the neighbours of a token may merge where it goes.

    Args:
        text: the string; of a long one only the tokens that the model reads are judged.
        encoder: the model.
        objective: f.

    Returns:
        One entry a token, in order; none for a string without tokens.
    """
    read = encoder.tokenizer.encode(text, add_special_tokens=False)
    ids = tuple(read.ids[: encoder.max_tokens])
    if not ids:
        return ()
    without = encoder.decode([ids[:i] + ids[i + 1 :] for i in range(len(ids))])
    whole = encoder.decode([ids]) if len(read.ids) > len(ids) else [text]
    scores = objective.score(encoder.encode([*whole, *without])).tolist()
    pieces = _pieces(text, [start for start, _ in read.offsets[: len(ids)]], read.offsets)
    return tuple(
        TokenWorth(piece=piece, worth=scores[0] - score)
        for piece, score in zip(pieces, scores[1:], strict=True)
    )


def _pieces(text: str, starts: list[int], offsets: list[tuple[int, int]]) -> list[str]:
    """Return what each token stands for, so that the pieces together are the string that is read.

    What lies between two tokens, such as a blank that the tokenizer drops, goes to the second.
    """
    ends = [end for _, end in offsets[: len(starts)]]
    last = len(text) if len(offsets) == len(starts) else ends[-1]
    bounds = [0, *ends[:-1], last]
    return [text[bounds[i] : bounds[i + 1]] for i in range(len(starts))]
