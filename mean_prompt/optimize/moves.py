"""The moves of a climb: ways to turn one body of tokens into another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mean_prompt.encoder import TokenIds
from mean_prompt.objective import Vectors

MoveName = Literal[
    "replace", "insert", "delete", "swap", "move", "phrase_in", "phrase_for_span", "combine"
]
#: Temperature of the draw from the shortlist's logits: low enough to favour the top hundreds.
_SHORTLIST_TEMPERATURE = 0.5


class MoveMix(BaseModel):
    """How often each move is tried, relative to the others."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    replace: float = Field(default=0.58, ge=0)
    insert: float = Field(default=0.2, ge=0)
    delete: float = Field(default=0.06, ge=0)
    swap: float = Field(default=0.06, ge=0)
    move: float = Field(default=0.06, ge=0)
    phrase_in: float = Field(default=0.02, ge=0)
    phrase_for_span: float = Field(default=0.02, ge=0)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A body to try.

    Attributes:
        body: the token ids.
        move: how it was made.
        token_in: id of the token put in, where there is exactly one.
        token_out: id of the token taken out, where there is exactly one.
        position: where, for a replacement.
    """

    body: TokenIds
    move: MoveName
    token_in: int | None = None
    token_out: int | None = None
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Choices:
    """What the moves at one string draw from.

    Attributes:
        allowed: (A,) ids of the tokens that may be put in.
        token_logits: (A,) for putting each in.
        position_logits: (L,) for giving each position up.
        phrases: F bodies.
        phrase_logits: (F,) for putting each in.
        room: most tokens that a body may have.
    """

    allowed: NDArray[np.int64]
    token_logits: Vectors
    position_logits: Vectors
    phrases: Sequence[TokenIds]
    phrase_logits: Vectors
    room: int


def propose(
    body: TokenIds, choices: Choices, mix: MoveMix, width: int, rng: np.random.Generator
) -> list[Proposal]:
    """Return about ``width`` proposals at a body of L >= 1 tokens; fewer where moves do not apply.

    A move that cannot be made (an insertion into a full body, a deletion of the only token)
    leaves its place to the others.
    """
    counts = _counts(body, choices, mix, width, rng)
    replaced_by, inserted = (
        choices.allowed[_draw(choices.token_logits, counts[move], rng)].tolist()
        for move in ("replace", "insert")
    )
    return [
        *_replacements(body, replaced_by, choices.position_logits, rng),
        *_insertions(body, inserted, rng),
        *_deletions(body, counts["delete"], choices.position_logits, rng),
        *(Proposal(_swapped(body, rng), "swap") for _ in range(counts["swap"])),
        *(Proposal(_moved(body, rng), "move") for _ in range(counts["move"])),
        *_phrase_moves(body, choices, counts, rng),
    ]


def combinations(body: TokenIds, better: Sequence[Proposal], most: int) -> list[Proposal]:
    """Return the best two, three, ... replacements at different positions, made at once.

    Args:
        body: where they were proposed.
        better: replacements that each raised the score, best first.
        most: replacements in one combination at most.
    """
    made: list[Proposal] = []
    tokens = list(body)
    used: set[int] = set()
    for proposal in better:
        position = proposal.position
        if position is None or position in used or len(used) == most:
            continue
        used.add(position)
        tokens[position] = proposal.body[position]
        if len(used) > 1:
            made.append(Proposal(tuple(tokens), "combine"))
    return made


def kick(
    body: TokenIds,
    allowed: NDArray[np.int64],
    scores: Vectors,
    edits: int,
    rng: np.random.Generator,
) -> TokenIds:
    """Return the body after random replacements at ``edits`` positions.

    Args:
        body: L >= 1 tokens.
        allowed: (A,) ids of the tokens that may be put in.
        scores: (A,) by which they are drawn, in any unit.
        edits: positions changed; all of them where there are fewer.
        rng: chooses positions and tokens.
    """
    tokens = list(body)
    positions = rng.choice(len(body), min(edits, len(body)), replace=False)
    spread = float(scores.std()) or 1.0
    drawn = _draw(scores / np.float32(spread), len(positions), rng)
    for position, token in zip(positions, drawn, strict=False):
        tokens[position] = int(allowed[token])
    return tuple(tokens)


def _counts(
    body: TokenIds, choices: Choices, mix: MoveMix, width: int, rng: np.random.Generator
) -> dict[str, int]:
    """Divide the width among the moves that can be made here."""
    weights = mix.model_dump()
    if len(body) >= choices.room:
        weights["insert"] = weights["phrase_in"] = 0.0
    if len(body) < 2:
        weights["delete"] = weights["swap"] = weights["move"] = 0.0
    if not choices.phrases:
        weights["phrase_in"] = weights["phrase_for_span"] = 0.0
    total = sum(weights.values())
    if total == 0:
        return dict.fromkeys(weights, 0) | {"replace": width}
    shares = np.array(list(weights.values())) / total
    return dict(zip(weights, rng.multinomial(width, shares).tolist(), strict=True))


def _draw(logits: Vectors, count: int, rng: np.random.Generator) -> list[int]:
    """Draw distinct indices from a softmax, by the Gumbel top-k trick; in random order."""
    if count == 0 or len(logits) == 0:
        return []
    keys = logits / _SHORTLIST_TEMPERATURE + rng.gumbel(size=len(logits))
    top = np.argpartition(-keys, min(count, len(keys) - 1))[:count]
    drawn: list[int] = rng.permutation(top).tolist()
    return drawn


def _softmax(logits: Vectors) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = np.exp(logits.astype(np.float64) - logits.max())
    return weights / float(weights.sum())


def _replacements(
    body: TokenIds, tokens: Sequence[int], logits: Vectors, rng: np.random.Generator
) -> Iterator[Proposal]:
    positions = rng.choice(len(body), len(tokens), p=_softmax(logits)).tolist()
    for position, token in zip(positions, tokens, strict=True):
        new = (*body[:position], token, *body[position + 1 :])
        yield Proposal(new, "replace", token, body[position], position)


def _insertions(
    body: TokenIds, tokens: Sequence[int], rng: np.random.Generator
) -> Iterator[Proposal]:
    for token in tokens:
        position = int(rng.integers(len(body) + 1))
        yield Proposal((*body[:position], token, *body[position:]), "insert", token)


def _deletions(
    body: TokenIds, count: int, logits: Vectors, rng: np.random.Generator
) -> Iterator[Proposal]:
    most = min(count, len(body) - 1)
    for position in rng.choice(len(body), most, replace=False, p=_softmax(logits)).tolist():
        new = (*body[:position], *body[position + 1 :])
        yield Proposal(new, "delete", token_out=body[position])


def _swapped(body: TokenIds, rng: np.random.Generator) -> TokenIds:
    first, second = rng.choice(len(body), 2, replace=False)
    tokens = list(body)
    tokens[first], tokens[second] = tokens[second], tokens[first]
    return tuple(tokens)


def _moved(body: TokenIds, rng: np.random.Generator) -> TokenIds:
    tokens = list(body)
    token = tokens.pop(int(rng.integers(len(tokens))))
    tokens.insert(int(rng.integers(len(tokens) + 1)), token)
    return tuple(tokens)


def _phrase_moves(
    body: TokenIds, choices: Choices, counts: dict[str, int], rng: np.random.Generator
) -> Iterator[Proposal]:
    """Put phrases between tokens, or in place of as many tokens as make room for them."""
    total = counts["phrase_in"] + counts["phrase_for_span"]
    for rank, number in enumerate(_draw(choices.phrase_logits, total, rng)):
        phrase = choices.phrases[number]
        over = max(0, len(body) + len(phrase) - choices.room)
        if rank < counts["phrase_in"]:
            if over == 0:
                at = int(rng.integers(len(body) + 1))
                yield Proposal((*body[:at], *phrase, *body[at:]), "phrase_in")
            continue
        span = min(len(body), max(over, int(rng.integers(1, len(phrase) + 2))))
        at = int(rng.integers(len(body) - span + 1))
        yield Proposal((*body[:at], *phrase, *body[at + span :]), "phrase_for_span")
