"""One climb: annealed moves from a start string to a local optimum.

A step predicts hundreds of edits at the present string, screens the promising ones, and draws the
next string from these and the present one by their scores, as heat-bath annealing does. The
temperature falls geometrically over the climb, so that it ends as a greedy ascent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from mean_prompt.objective import Vectors, to_numpy, to_tensor
from mean_prompt.optimize.evaluator import CONTENDERS, SCREENING_NOISE, Candidate, Evaluator
from mean_prompt.optimize.moves import Choices, MoveMix, MoveName, Proposal, propose
from mean_prompt.optimize.surrogate import Predictions, Surrogate
from mean_prompt.optimize.vocabulary import Vocabulary
from mean_prompt.system import State

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


class Climb:
    """A climb on its way from a start string.

    Args:
        start: scored in float32.
        material: what edits may put in.
        evaluator: scores them.
        settings: of this climb.
        ceiling: of the objective, the unit of temperatures.
        rng: the climb's own source of randomness.

    Attributes:
        best: the best string so far, scored in float32.
        number: of steps taken.
    """

    def __init__(
        self,
        start: Candidate,
        material: Vocabulary,
        evaluator: Evaluator,
        settings: ClimbSettings,
        *,
        ceiling: float,
        rng: np.random.Generator,
    ) -> None:
        self._evaluator = evaluator
        self._settings = settings
        self._ceiling = ceiling
        self._rng = rng
        self._edits = Edits(material, evaluator, settings, ceiling, rng)
        self.best = start
        self.number = 0
        self._here = start
        # What the best string scored when screened: contenders are measured against like.
        self._bar = start.score

    def begin(self) -> Step:
        """Screen the start, and return the step that stands for it."""
        self._here = self._evaluator.screen([self.best.body])[0] or self.best
        self._bar = self._here.score
        return Step(0, self.best, gained=False, move=None)

    def step(self, share: float) -> Step:
        """Take one step.

        Args:
            share: of the climb that is over, within [0, 1): sets the temperature.
        """
        settings, evaluator = self._settings, self._evaluator
        spent = evaluator.budget.evaluations
        temperature = self._ceiling * settings.hot * (settings.cold / settings.hot) ** share
        tried = self._edits.try_at(self._here, temperature)
        gained = self._judge([candidate for _, candidate in tried])
        chosen = _draw_next(self._here, tried, temperature, self._rng)
        self._here = chosen[1] if chosen else self._here
        if evaluator.budget.evaluations == spent:
            # Every proposal broke a rule: the step still counts, or the climb might never end.
            evaluator.budget.spend(1)
        self.number += 1
        return Step(self.number, self.best, gained=gained, move=chosen[0].move if chosen else None)

    def go_over(self, other: Candidate) -> None:
        """Go on from another climb's string, scored in float32 and better than this one's best."""
        self._here = self._evaluator.screen([other.body])[0] or other
        self.best, self._bar = other, self._here.score

    def _judge(self, tried: Sequence[Candidate]) -> bool:
        """Score what may be the best in float32; tell whether some string is."""
        gained = False
        contenders = _contenders(tried, self._bar - SCREENING_NOISE * self._ceiling)
        for screened, exact in zip(contenders, self._evaluator.exact(contenders), strict=True):
            if exact.score > self.best.score:
                self.best, self._bar, gained = exact, screened.score, True
        return gained

    def state(self) -> State:
        """Return all that the rest of the climb depends on, beside what it was made with."""
        return {
            "best": self.best.state(),
            "here": self._here.state(),
            "bar": self._bar,
            "number": self.number,
            "rng": self._rng.bit_generator.state,
            "surrogate": self._edits.surrogate.state(),
        }

    def restore(self, state: State) -> None:
        """Go over to where :meth:`state` was taken."""
        self.best = Candidate.of_state(state["best"])
        self._here = Candidate.of_state(state["here"])
        self._bar, self.number = state["bar"], state["number"]
        self._rng.bit_generator.state = state["rng"]
        self._edits.surrogate.restore(state["surrogate"])


def _contenders(tried: Sequence[Candidate], bar: float) -> list[Candidate]:
    """Return the best screened candidates above a bar, to be scored in float32."""
    above = [candidate for candidate in tried if candidate.score > bar]
    return sorted(above, key=lambda row: -row.score)[:CONTENDERS]


class Edits:
    """Finds edits at the strings of one climb, and learns from what they turn out to do.

    Args:
        material: what edits may put in.
        evaluator: scores them.
        settings: how many, and of which kinds.
        ceiling: of the objective, the unit of temperatures.
        rng: draws.
    """

    def __init__(
        self,
        material: Vocabulary,
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
        self.surrogate = Surrogate(
            material,
            evaluator.encoder,
            evaluator.objective,
            first=evaluator.rules.frame_tokens[0],
            rng=rng,
        )

    def try_at(self, state: Candidate, temperature: float) -> list[tuple[Proposal, Candidate]]:
        """Predict, propose and screen edits at a string; those of earlier calls come up no more.

        Args:
            state: the string.
            temperature: of the draw by what edits promise, in units of the score.

        Returns:
            The edits that keep to the rules and change the string, with what they made of it.
        """
        settings = self._settings
        outlook = self.surrogate.look(
            state,
            width=settings.predicted,
            vocabulary=settings.vocabulary,
            temperature=settings.spread * self._ceiling,
        )
        choices = self._choices(state, outlook, temperature * _DRAW_SHARE)
        proposals = propose(state.body, choices, settings.moves, settings.width, self._rng)
        tried = _screened(state, proposals, self._evaluator)
        self.surrogate.mark_tried(
            outlook,
            [row.row for row in proposals if row.move == "replace" and row.row is not None],
            [row.body for row in proposals if row.move == "combine"],
        )
        self.surrogate.learn(state, outlook, *_as_proposed(tried, "replace"))
        self.surrogate.learn_combined(state, outlook, *_as_proposed(tried, "combine"))
        return tried

    def _choices(self, state: Candidate, outlook: Predictions, temperature: float) -> Choices:
        """Turn an outlook into what the moves draw from."""
        phrases = self._material.phrases
        tangent = self._evaluator.objective.tangent_gradient(state.vector)
        worth = torch.from_numpy(phrases.vectors) @ to_tensor(tangent)
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
