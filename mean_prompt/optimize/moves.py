"""Moves of the search: random edits that turn one sequence of token ids into another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mean_prompt.encoder import TokenIds
from mean_prompt.objective import Vectors
from mean_prompt.optimize.surrogate import Predictions

MoveName = Literal[
    "replace", "combine", "insert", "delete", "swap", "move", "phrase_in", "phrase_for_span"
]


class MoveMix(BaseModel):
    """Relative frequencies at which a climb tries each kind of edit (move)."""

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
    """An edited sequence of token ids to be scored, and the kind of edit that made it.

    ``row`` is its index among the predicted replacements or combinations; other moves have none.
    """

    body: TokenIds
    move: MoveName
    row: int | None = None


def propose(
    body: TokenIds,
    predictions: Predictions,
    mix: MoveMix,
    *,
    width: int,
    room: int,
    temperature: float,
    rng: np.random.Generator,
) -> list[Proposal]:
    """Draw about ``width`` edits of a string's token ids by weights exp(score / temperature).

    The body has L >= 1 tokens, and may have ``room`` at most. The temperature is in units of the
    score; phrases have standardised scores, and are drawn at temperature 1.
    """
    unit = np.float32(temperature)
    counts = _counts(body, predictions, mix, width, room, rng)
    inserted = draw(predictions.sample_scores / unit, counts["insert"], rng)
    replaced = draw(predictions.scores / unit, counts["replace"], rng)
    combined = draw(predictions.combinations.scores / unit, counts["combine"], rng)
    deleted = min(counts["delete"], len(body) - 1)
    return [
        *(Proposal(predictions.replaced(body, row), "replace", row) for row in replaced),
        *(Proposal(predictions.combinations.bodies[row], "combine", row) for row in combined),
        *_insertions(body, predictions.sample[inserted].tolist(), rng),
        *(
            Proposal((*body[:at], *body[at + 1 :]), "delete")
            for at in draw(predictions.removal_scores / unit, deleted, rng)
        ),
        *(Proposal(_swapped(body, rng), "swap") for _ in range(counts["swap"])),
        *(Proposal(_moved(body, rng), "move") for _ in range(counts["move"])),
        *_phrase_moves(body, predictions, counts, room, rng),
    ]


def _counts(
    body: TokenIds,
    predictions: Predictions,
    mix: MoveMix,
    width: int,
    room: int,
    rng: np.random.Generator,
) -> dict[str, int]:
    """Return how many of ``width`` edits each kind of move gets, among those that apply here."""
    weights = mix.model_dump()
    if len(body) >= room:
        weights["insert"] = weights["phrase_in"] = 0.0
    if len(body) < 2:
        weights["delete"] = weights["swap"] = weights["move"] = 0.0
    if not predictions.combinations.bodies:
        weights["combine"] = 0.0
    if not predictions.phrases:
        weights["phrase_in"] = weights["phrase_for_span"] = 0.0
    total = sum(weights.values())
    if total == 0:
        return dict.fromkeys(weights, 0) | {"replace": width}
    shares = np.array(list(weights.values())) / total
    return dict(zip(weights, rng.multinomial(width, shares).tolist(), strict=True))


def draw(scores: Vectors, count: int, rng: np.random.Generator) -> list[int]:
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
    body: TokenIds,
    predictions: Predictions,
    counts: dict[str, int],
    room: int,
    rng: np.random.Generator,
) -> Iterator[Proposal]:
    """Yield edits that insert a phrase between tokens, or put one in place of some tokens."""
    total = counts["phrase_in"] + counts["phrase_for_span"]
    for rank, number in enumerate(draw(predictions.phrase_scores, total, rng)):
        phrase = predictions.phrases[number]
        over = max(0, len(body) + len(phrase) - room)
        if rank < counts["phrase_in"]:
            if over == 0:
                at = int(rng.integers(len(body) + 1))
                yield Proposal((*body[:at], *phrase, *body[at:]), "phrase_in")
            continue
        span = min(len(body), max(over, int(rng.integers(1, len(phrase) + 2))))
        at = int(rng.integers(len(body) - span + 1))
        yield Proposal((*body[:at], *phrase, *body[at + span :]), "phrase_for_span")
