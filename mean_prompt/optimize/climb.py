"""One climb: annealed coordinate moves from a start string to a local optimum.

A step proposes a batch of edits at the present string, screens them, and draws the next string
from the batch and the present one by their scores, as heat-bath annealing does. The temperature
falls geometrically over the climb, so that it ends as a greedy ascent. Greedy ascent with kicks
was measured first and stayed behind: no single replacement gains any more at about 0.80 of the
ceiling (0 of 3,000 tried), and kicks fell back to the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mean_prompt.optimize.evaluator import Candidate, Evaluator
from mean_prompt.optimize.moves import Choices, MoveMix, MoveName, Proposal, combinations, propose
from mean_prompt.optimize.shortlist import Material, Shortlist

#: Screened candidates that a step scores again in float32 at most, and how far below the best
#: string's screened score, as a share of the ceiling, one may stand: bfloat16 is about that noisy.
_CONTENDERS: Final = 2
_SCREENING_NOISE: Final = 0.001


class ClimbSettings(BaseModel):
    """How one climb goes about it.

    Attributes:
        width: edits proposed a step.
        hot: temperature at the start, as a share of the ceiling: a string that scores this much
            less is still drawn with weight 1/e.
        cold: temperature at the end.
        combine: most improving replacements that are tried together.
        moves: how often each move is tried.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(default=48, ge=1, le=4096)
    hot: float = Field(default=0.005, gt=0, le=1)
    cold: float = Field(default=0.0004, gt=0, le=1)
    combine: int = Field(default=5, ge=0)
    moves: MoveMix = MoveMix()


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What a climb looks like after a step.

    Attributes:
        number: of the step, from 0 (the start string).
        best: the best string of this climb, scored in float32.
        gained: whether this step found it.
        move: that led to the present string, or ``None`` where the climb stayed.
    """

    number: int
    best: Candidate
    gained: bool
    move: MoveName | None


def climb(
    start: Candidate,
    material: Material,
    evaluator: Evaluator,
    settings: ClimbSettings,
    *,
    ceiling: float,
    progress: Callable[[], float],
    rng: np.random.Generator,
) -> Iterator[Step]:
    """Climb from a start string until ``progress`` reaches 1, yielding after every step.

    Args:
        start: scored in float32.
        material: what edits may put in.
        evaluator: scores them.
        settings: of this climb.
        ceiling: of the objective, the unit of temperatures.
        progress: share of the climb that is over, within [0, 1].
        rng: the climb's own source of randomness.
    """
    shortlist = Shortlist(
        material,
        evaluator.encoder,
        evaluator.objective,
        first=evaluator.rules.frame_tokens[0],
        ceiling=ceiling,
        rng=rng,
    )
    room = evaluator.rules.room
    best = start
    state = evaluator.screen([start.body])[0] or start
    # What the best string scored when screened: contenders are measured against like.
    bar = state.score
    number = 0
    yield Step(number, best, gained=False, move=None)
    while (share := progress()) < 1.0:
        spent = evaluator.budget.evaluations
        tried = _try_edits(state, shortlist, material, evaluator, settings, room, rng)
        gained = False
        contenders = _contenders(tried, bar - _SCREENING_NOISE * ceiling)
        for screened, exact in zip(contenders, evaluator.exact(contenders), strict=True):
            if exact.score > best.score:
                best, bar, gained = exact, screened.score, True
        temperature = ceiling * settings.hot * (settings.cold / settings.hot) ** share
        chosen = _draw_next(state, tried, temperature, rng)
        state = chosen[1] if chosen else state
        if evaluator.budget.evaluations == spent:
            # Every proposal broke a rule: the step still counts, or the climb might never end.
            evaluator.budget.spend(1)
        number += 1
        yield Step(number, best, gained=gained, move=chosen[0].move if chosen else None)


def _contenders(tried: Sequence[tuple[Proposal, Candidate]], bar: float) -> list[Candidate]:
    """Return the best screened candidates above a bar, to be scored in float32."""
    above = [candidate for _, candidate in tried if candidate.score > bar]
    return sorted(above, key=lambda row: -row.score)[:_CONTENDERS]


def _try_edits(
    state: Candidate,
    shortlist: Shortlist,
    material: Material,
    evaluator: Evaluator,
    settings: ClimbSettings,
    room: int,
    rng: np.random.Generator,
) -> list[tuple[Proposal, Candidate]]:
    """Propose and screen edits at a string, learn from them, and combine those that gained."""
    logits = shortlist.logits(state)
    choices = Choices(
        material.allowed,
        logits.tokens,
        logits.positions,
        material.phrases.bodies,
        logits.phrases,
        room,
    )
    proposals = propose(state.body, choices, settings.moves, settings.width, rng)
    tried = _screened(state, proposals, evaluator)
    shortlist.learn(state, tried)
    gains = [pair for pair in tried if pair[1].score > state.score]
    gains.sort(key=lambda pair: -pair[1].score)
    together = combinations(state.body, [proposal for proposal, _ in gains], settings.combine)
    return tried + _screened(state, together, evaluator)


def _screened(
    state: Candidate, proposals: Sequence[Proposal], evaluator: Evaluator
) -> list[tuple[Proposal, Candidate]]:
    if not proposals:
        return []
    candidates = evaluator.screen([proposal.body for proposal in proposals])
    return [
        (proposal, candidate)
        for proposal, candidate in zip(proposals, candidates, strict=True)
        if candidate is not None and candidate.text != state.text
    ]


def _draw_next(
    state: Candidate,
    tried: Sequence[tuple[Proposal, Candidate]],
    temperature: float,
    rng: np.random.Generator,
) -> tuple[Proposal, Candidate] | None:
    """Draw from the present string and the tried ones, each with weight exp(score / temperature).

    Returns ``None`` where the present string is drawn.
    """
    scores = np.array([state.score, *(candidate.score for _, candidate in tried)])
    drawn = int(np.argmax(scores / temperature + rng.gumbel(size=len(scores))))
    return tried[drawn - 1] if drawn else None
