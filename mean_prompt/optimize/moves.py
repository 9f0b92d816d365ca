"""The moves of a climb: ways to turn one body of tokens into another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mean_prompt.encoder import TokenIds
from mean_prompt.objective import Vectors

MoveName = Literal[
    "replace", "combine", "insert", "delete", "swap", "move", "phrase_in", "phrase_for_span"
]

#: Temperature of a kick's draw, in standard deviations: low enough to favour the top hundreds.
_KICK_SPREAD: Final = 0.5


class MoveMix(BaseModel):
    """How often each move is tried, relative to the others."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    replace: float = Field(default=0.5, ge=0)
    combine: float = Field(default=0.5, ge=0)
    insert: float = Field(default=0.07, ge=0)
    delete: float = Field(default=0.03, ge=0)
    swap: float = Field(default=0.02, ge=0)
    move: float = Field(default=0.06, ge=0)
    phrase_in: float = Field(default=0.01, ge=0)
    phrase_for_span: float = Field(default=0.01, ge=0)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A body to try.

    Attributes:
        body: the token ids.
        move: how it was made.
        row: number in the outlook, of a replacement or a combination.
    """

    body: TokenIds
    move: MoveName
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Choices:
    """What the moves at one string draw from.

    Scores are in units of the temperature: they are drawn with weight exp(score).

    Attributes:
        positions: (M,) of the replacements.
        tokens: (M,) ids put there.
        scores: (M,) of the replacements, best not first.
        combinations: bodies with several replacements.
        combination_scores: of them.
        insertable: (S,) ids of tokens to insert.
        insertable_scores: (S,) of them.
        removal_scores: (L,) of giving each position up.
        phrases: F bodies.
        phrase_scores: (F,) of putting each in.
        room: most tokens that a body may have.
    """

    positions: NDArray[np.int64]
    tokens: NDArray[np.int64]
    scores: Vectors
    combinations: Sequence[TokenIds]
    combination_scores: Vectors
    insertable: NDArray[np.int64]
    insertable_scores: Vectors
    removal_scores: Vectors
    phrases: Sequence[TokenIds]
    phrase_scores: Vectors
    room: int


def propose(
    body: TokenIds, choices: Choices, mix: MoveMix, width: int, rng: np.random.Generator
) -> list[Proposal]:
    """Return about ``width`` proposals at a body of L >= 1 tokens; fewer where moves do not apply.

    A move that cannot be made (an insertion into a full body, a deletion of the only token)
    leaves its place to the others.
    """
    counts = _counts(body, choices, mix, width, rng)
    inserted = choices.insertable[_draw(choices.insertable_scores, counts["insert"], rng)].tolist()
    drawn = _draw(choices.scores, counts["replace"], rng)
    combined = _draw(choices.combination_scores, counts["combine"], rng)
    return [
        *(_replacement(body, choices, row) for row in drawn),
        *(Proposal(choices.combinations[number], "combine", number) for number in combined),
        *_insertions(body, inserted, rng),
        *_deletions(body, counts["delete"], choices.removal_scores, rng),
        *(Proposal(_swapped(body, rng), "swap") for _ in range(counts["swap"])),
        *(Proposal(_moved(body, rng), "move") for _ in range(counts["move"])),
        *_phrase_moves(body, choices, counts, rng),
    ]


def _replacement(body: TokenIds, choices: Choices, row: int) -> Proposal:
    position, token = int(choices.positions[row]), int(choices.tokens[row])
    return Proposal((*body[:position], token, *body[position + 1 :]), "replace", row)


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
        scores: (A,) by which they are drawn; their spread is taken for the unit.
        edits: positions changed; all of them where there are fewer.
        rng: chooses positions and tokens.
    """
    tokens = list(body)
    positions = rng.choice(len(body), min(edits, len(body)), replace=False)
    spread = float(scores.std()) or 1.0
    drawn = _draw(scores / np.float32(_KICK_SPREAD * spread), len(positions), rng)
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
    if not choices.combinations:
        weights["combine"] = 0.0
    if not choices.phrases:
        weights["phrase_in"] = weights["phrase_for_span"] = 0.0
    total = sum(weights.values())
    if total == 0:
        return dict.fromkeys(weights, 0) | {"replace": width}
    shares = np.array(list(weights.values())) / total
    return dict(zip(weights, rng.multinomial(width, shares).tolist(), strict=True))


def _draw(scores: Vectors, count: int, rng: np.random.Generator) -> list[int]:
    """Draw distinct indices with weights exp(score), by Gumbel's top-k trick; in random order."""
    most = min(count, len(scores))
    if most == 0:
        return []
    keys = scores + rng.gumbel(size=len(scores))
    top = np.argpartition(-keys, most - 1)[:most]
    drawn: list[int] = rng.permutation(top).tolist()
    return drawn


def _insertions(
    body: TokenIds, tokens: Sequence[int], rng: np.random.Generator
) -> Iterator[Proposal]:
    for token in tokens:
        position = int(rng.integers(len(body) + 1))
        yield Proposal((*body[:position], token, *body[position:]), "insert")


def _deletions(
    body: TokenIds, count: int, scores: Vectors, rng: np.random.Generator
) -> Iterator[Proposal]:
    for position in _draw(scores, min(count, len(body) - 1), rng):
        yield Proposal((*body[:position], *body[position + 1 :]), "delete")


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
    for rank, number in enumerate(_draw(choices.phrase_scores, total, rng)):
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
