"""One climb: annealed moves from a start string to a local optimum.

A step predicts hundreds of edits at the present string, screens the promising ones, and draws the
next string from these and the present one by their scores, as heat-bath annealing does. The
temperature falls geometrically over the climb, so that it ends as a greedy ascent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from mean_prompt.objective import Vectors, to_numpy
from mean_prompt.optimize.evaluator import CONTENDERS, SCREENING_NOISE, Candidate, Evaluator
from mean_prompt.optimize.material import Material
from mean_prompt.optimize.moves import Choices, MoveMix, MoveName, Proposal, propose
from mean_prompt.optimize.surrogate import Outlook, Surrogate

#: Edits are drawn at this share of the temperature: the encoder has the last word.
_DRAW_SHARE: Final = 0.5


class ClimbSettings(BaseModel):
    """How one climb goes about it.

    Attributes:
        width: edits evaluated a step.
        predicted: replacements predicted one by one a step, for the width to be chosen from.
        vocabulary: tokens that these are drawn from, a new sample every step.
        spread: temperature of that draw, as a share of the ceiling.
        hot: temperature at the start, as a share of the ceiling: a string that scores this much
            less is still drawn with weight 1/e.
        cold: temperature at the end.
        moves: how often each move is tried.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(default=40, ge=1, le=4096)
    predicted: int = Field(default=384, ge=1, le=65_536)
    vocabulary: int = Field(default=4096, ge=1)
    spread: float = Field(default=0.001, gt=0, le=1)
    hot: float = Field(default=0.01, gt=0, le=1)
    cold: float = Field(default=0.0006, gt=0, le=1)
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
    edits = _Edits(material, evaluator, settings, ceiling, rng)
    best = start
    state = evaluator.screen([start.body])[0] or start
    # What the best string scored when screened: contenders are measured against like.
    bar = state.score
    number = 0
    yield Step(number, best, gained=False, move=None)
    while (share := progress()) < 1.0:
        spent = evaluator.budget.evaluations
        temperature = ceiling * settings.hot * (settings.cold / settings.hot) ** share
        tried = edits.try_at(state, temperature)
        gained = False
        contenders = _contenders(tried, bar - SCREENING_NOISE * ceiling)
        for screened, exact in zip(contenders, evaluator.exact(contenders), strict=True):
            if exact.score > best.score:
                best, bar, gained = exact, screened.score, True
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
    return sorted(above, key=lambda row: -row.score)[:CONTENDERS]


class _Edits:
    """Finds edits at the strings of one climb, and learns from what they turn out to do."""

    def __init__(
        self,
        material: Material,
        evaluator: Evaluator,
        settings: ClimbSettings,
        ceiling: float,
        rng: np.random.Generator,
    ) -> None:
        self._material = material
        self._evaluator = evaluator
        self._settings = settings
        self._ceiling = ceiling
        self._rng = rng
        self._surrogate = Surrogate(
            material,
            evaluator.encoder,
            evaluator.objective,
            first=evaluator.rules.frame_tokens[0],
            rng=rng,
        )

    def try_at(self, state: Candidate, temperature: float) -> list[tuple[Proposal, Candidate]]:
        """Predict, propose and screen edits at a string."""
        settings = self._settings
        outlook = self._surrogate.look(
            state,
            width=settings.predicted,
            vocabulary=settings.vocabulary,
            temperature=settings.spread * self._ceiling,
        )
        choices = self._choices(state, outlook, temperature * _DRAW_SHARE)
        proposals = propose(state.body, choices, settings.moves, settings.width, self._rng)
        tried = _screened(state, proposals, self._evaluator)
        self._surrogate.rule_out(
            outlook,
            [row.row for row in proposals if row.move == "replace" and row.row is not None],
            [row.body for row in proposals if row.move == "combine"],
        )
        self._surrogate.learn(state, outlook, *_as_proposed(tried, "replace"))
        self._surrogate.learn_combined(state, outlook, *_as_proposed(tried, "combine"))
        return tried

    def _choices(self, state: Candidate, outlook: Outlook, temperature: float) -> Choices:
        """Turn an outlook into what the moves draw from."""
        phrases = self._material.phrases
        tangent = self._evaluator.objective.tangent_gradient(state.vector)
        worth = torch.from_numpy(phrases.vectors) @ torch.from_numpy(tangent)
        unit = np.float32(temperature)
        return Choices(
            positions=outlook.positions,
            tokens=outlook.tokens,
            scores=outlook.scores / unit,
            combinations=outlook.combinations.bodies,
            combination_scores=outlook.combinations.scores / unit,
            insertable=outlook.sample,
            insertable_scores=outlook.sample_scores / unit,
            removal_scores=outlook.removal_scores / unit,
            phrases=phrases.bodies,
            phrase_scores=_standardized(to_numpy(worth)),
            room=self._evaluator.rules.room,
        )


def _as_proposed(
    tried: Sequence[tuple[Proposal, Candidate]], move: MoveName
) -> tuple[list[int], list[Candidate]]:
    """Return the rows of one move's proposals, and what they became.

    A body that reads back as other tokens says nothing about its replacements.
    """
    true = [
        (proposal.row, candidate)
        for proposal, candidate in tried
        if proposal.move == move and proposal.row is not None and candidate.body == proposal.body
    ]
    return [row for row, _ in true], [candidate for _, candidate in true]


def _standardized(values: Vectors) -> Vectors:
    """Return z-scores; zeros where all values are equal."""
    spread = float(values.std()) if len(values) else 0.0
    if spread == 0.0:
        return np.zeros_like(values)
    scores: Vectors = (values - values.mean()) / np.float32(spread)
    return scores


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
