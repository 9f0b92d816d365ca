"""One climb: annealed moves from a start string to a local optimum.

A step predicts hundreds of edits of the present string (:mod:`~mean_prompt.optimize.surrogate`),
proposes the promising ones (:mod:`~mean_prompt.optimize.moves`), screens these, learns from what
they score, and draws the next string from them and the present one by their scores, as heat-bath
annealing does. The temperature falls geometrically over the climb, so that it ends as a greedy
ascent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mean_prompt.optimize.evaluator import CONTENDERS, SCREENING_NOISE, Candidate, Evaluator
from mean_prompt.optimize.moves import MoveMix, MoveName, Proposal, propose
from mean_prompt.optimize.surrogate import Surrogate
from mean_prompt.optimize.vocabulary import Vocabulary
from mean_prompt.system import State

#: An edit that keeps to the rules and changes the string, with the string that it makes.
_Tried = tuple[Proposal, Candidate]

#: Edits are drawn at this share of the temperature: the encoder has the last word.
_DRAW_SHARE: Final = 0.5


class ClimbSettings(BaseModel):
    """Settings of one climb.

    Attributes:
        width: edits evaluated a step.
        predicted: replacements predicted one by one a step, from which the width is drawn.
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
    """Where a climb stands after a step; step 0 is the start string.

    Attributes:
        best: the best string of this climb, scored in float32.
        gained: whether this step found the best string.
        move: the move that led to the present string, or ``None`` if the climb stayed.
    """

    number: int
    best: Candidate
    gained: bool = False
    move: MoveName | None = None


class Climb:
    """A climb from a start string.

    Args:
        start: the string, scored in float32.
        screened: the same string, as it scores when screened.
        edits: finds the edits of its strings.

    Attributes:
        best: the best string so far, scored in float32.
        number: number of steps taken.
    """

    def __init__(self, start: Candidate, screened: Candidate, edits: Edits) -> None:
        self._edits = edits
        self.best = start
        self.number = 0
        self._current = screened
        # What the best string scored when screened: contenders are measured against like.
        self._bar = screened.score

    def step(self, share: float) -> Step:
        """Take one step, at the temperature set by the share of the climb that is over, [0, 1)."""
        settings, budget = self._edits.settings, self._edits.evaluator.budget
        spent = budget.evaluations
        temperature = self._edits.ceiling * settings.hot * (settings.cold / settings.hot) ** share
        tried = self._edits.try_at(self._current, temperature)
        gained = self._accept([candidate for _, candidate in tried])
        proposal, self._current = self._draw_next(tried, temperature)
        if budget.evaluations == spent:
            # Every proposal broke a rule: the step still counts, or the climb might never end.
            budget.spend(1)
        self.number += 1
        return Step(self.number, self.best, gained, proposal.move if proposal else None)

    def switch_to(self, other: Candidate) -> None:
        """Continue from another climb's string, scored in float32, better than this one's best."""
        self._current = self._edits.evaluator.screened(other)
        self.best, self._bar = other, self._current.score

    def state(self) -> State:
        """Return all that the rest of the climb depends on, beside what it was made with."""
        return {
            "best": self.best.state(),
            "current": self._current.state(),
            "bar": self._bar,
            "number": self.number,
            "rng": self._edits.rng.bit_generator.state,
            "surrogate": self._edits.surrogate.state(),
        }

    def restore(self, state: State) -> None:
        """Continue from the :meth:`state` of a climb made with the same vocabulary and settings."""
        self.best = Candidate.of_state(state["best"])
        self._current = Candidate.of_state(state["current"])
        self._bar, self.number = state["bar"], state["number"]
        self._edits.rng.bit_generator.state = state["rng"]
        self._edits.surrogate.restore(state["surrogate"])

    def _accept(self, tried: Sequence[Candidate]) -> bool:
        """Score in float32 what may be the best string; return whether one of them is."""
        bar = self._bar - SCREENING_NOISE * self._edits.ceiling
        above = [candidate for candidate in tried if candidate.score > bar]
        contenders = sorted(above, key=lambda row: -row.score)[:CONTENDERS]
        found = self._edits.evaluator.exact(contenders)
        gained = False
        for screened, exact in zip(contenders, found, strict=True):
            if exact.score > self.best.score:
                self.best, self._bar, gained = exact, screened.score, True
        return gained

    def _draw_next(
        self, tried: Sequence[_Tried], temperature: float
    ) -> tuple[Proposal | None, Candidate]:
        """Draw from the present string and the tried ones, with weights exp(score / temperature).

        There is no proposal if the present string is drawn.
        """
        choices = [(None, self._current), *tried]
        scores = np.array([candidate.score for _, candidate in choices])
        noise = self._edits.rng.gumbel(size=len(scores))
        return choices[int(np.argmax(scores / temperature + noise))]


class Edits:
    """Finds edits of the strings of one climb, and learns from what they score.

    The ceiling of the objective is the unit of temperatures; ``rng`` is the climb's own.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        evaluator: Evaluator,
        settings: ClimbSettings,
        ceiling: float,
        rng: np.random.Generator,
    ) -> None:
        self.evaluator = evaluator
        self.settings = settings
        self.ceiling = ceiling
        self.rng = rng
        self.surrogate = Surrogate(vocabulary, evaluator, rng)

    def try_at(self, current: Candidate, temperature: float) -> list[_Tried]:
        """Predict, propose and screen edits of a string; none is tried twice at one string.

        Return the edits that keep to the rules and change the string, with the strings they make.
        The temperature is that of the draw by what edits are expected to score, in its units.
        """
        settings, evaluator = self.settings, self.evaluator
        predictions = self.surrogate.predict(
            current,
            width=settings.predicted,
            sampled=settings.vocabulary,
            temperature=settings.spread * self.ceiling,
        )
        proposals = propose(
            current.body,
            predictions,
            settings.moves,
            width=settings.width,
            room=evaluator.rules.room,
            temperature=temperature * _DRAW_SHARE,
            rng=self.rng,
        )
        found = evaluator.screen([proposal.body for proposal in proposals])
        self.surrogate.learn(
            current,
            predictions,
            _outcomes("replace", proposals, found),
            _outcomes("combine", proposals, found),
        )
        return [
            (proposal, candidate)
            for proposal, candidate in zip(proposals, found, strict=True)
            if candidate is not None and candidate.text != current.text
        ]


def _outcomes(
    move: MoveName, proposals: Sequence[Proposal], found: Sequence[Candidate | None]
) -> dict[int, Candidate | None]:
    """Return what one move's proposals became, by their row among the predictions.

    A body that reads back as other tokens says nothing about its replacements, and counts as
    ``None``, as one that breaks a rule does.
    """
    return {
        proposal.row: candidate if candidate and candidate.body == proposal.body else None
        for proposal, candidate in zip(proposals, found, strict=True)
        if proposal.move == move and proposal.row is not None
    }
