"""One climb: simulated annealing by edits of a start string, to a local optimum of the score.

A step predicts hundreds of edits of the present string (:mod:`~mean_prompt.optimize.surrogate`),
proposes the promising ones (:mod:`~mean_prompt.optimize.moves`), screens these (scores them in the
encoder's fastest precision), learns from their scores, and draws the next string from them and the
present one by score, as heat-bath annealing does. The temperature falls geometrically over the
climb, so that it ends as a greedy ascent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mean_prompt.encoder import TokenIds
from mean_prompt.optimize.evaluator import CONTENDERS, SCREENING_NOISE, Candidate, Evaluator
from mean_prompt.optimize.moves import MoveMix, MoveName, Proposal, propose
from mean_prompt.optimize.surrogate import Predictions, Surrogate
from mean_prompt.optimize.vocabulary import Vocabulary
from mean_prompt.system import State

#: An edit that keeps to the rules and changes the string, with the string that it makes.
_Tried = tuple[Proposal, Candidate]

#: Edits are drawn at this share of the temperature: the encoder has the last word.
_DRAW_SHARE: Final = 0.5


class ClimbSettings(BaseModel):
    """Settings of one climb, a simulated annealing from one start string.

    Attributes:
        width: number of edits that the encoder scores in each step.
        predicted: token replacements predicted one by one in each step, to propose some of them.
        vocabulary: size of the random sample of tokens, new in every step, for replacements.
        spread: temperature at which replacements to predict are drawn, as a share of the ceiling.
        hot: temperature at the start, as a share of the ceiling (the highest possible score): a
            string that scores this much less is still drawn with weight 1/e.
        cold: temperature at the end, as a share of the ceiling.
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
    """State of a climb after one of its steps; step 0 is the start string.

    Attributes:
        best: the best string of this climb, scored in float32.
        gained: whether this step found the best string.
        move: kind of edit that led to the present string, or ``None`` if the string is unchanged.
    """

    number: int
    best: Candidate
    gained: bool = False
    move: MoveName | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """The edits that one step of a climb is to score, and what was predicted of them."""

    predictions: Predictions
    proposals: Sequence[Proposal]

    @property
    def bodies(self) -> list[TokenIds]:
        """The token ids that the edits make, in their order."""
        return [proposal.body for proposal in self.proposals]


class Climb:
    """A simulated annealing from a start string, run step by step, that keeps the best string.

    Args:
        start: the start string, scored in float32.
        screened: the start string, scored in the screening precision.

    Attributes:
        best: the best string so far, scored in float32.
        current: the present string, scored in the screening precision.
        temperature: temperature of the last step, in units of the score; 0 before the first.
    """

    def __init__(self, start: Candidate, screened: Candidate, edits: Edits) -> None:
        self._edits = edits
        self.best = start
        self.number = 0
        self.temperature = 0.0
        self.current = screened
        # The best string's score in the screening precision, to compare screened strings with.
        self._bar = screened.score

    @property
    def evaluator(self) -> Evaluator:
        """What scores the climb's strings."""
        return self._edits.evaluator

    def step(self, share: float) -> Step:
        """Take one annealing step, its temperature set by the share of the climb over, [0, 1)."""
        draft = self.draft(share)
        return self.finish(draft, self.evaluator.screen(draft.bodies))

    def draft(self, share: float) -> Draft:
        """Begin a step: predict and propose edits, to be screened by the climb's evaluator."""
        settings = self._edits.settings
        cooled = (settings.cold / settings.hot) ** share
        self.temperature = self._edits.ceiling * settings.hot * cooled
        return self._edits.draft(self.current, self.temperature)

    def finish(self, draft: Draft, found: Sequence[Candidate | None]) -> Step:
        """End a step with what its edits made when screened, and draw the next string."""
        if not any(found):
            # Every proposal broke a rule: the step still counts, or the climb might never end.
            self.evaluator.budget.spend(1)
        tried = self._edits.learn(self.current, draft, found)
        gained = self._accept([candidate for _, candidate in tried])
        proposal, self.current = self._draw_next(tried, self.temperature)
        self.number += 1
        return Step(self.number, self.best, gained, proposal.move if proposal else None)

    def switch_to(self, other: Candidate) -> None:
        """Continue from another climb's string, scored in float32, with what was learned so far."""
        self.current = self._edits.evaluator.screened(other)
        if other.score > self.best.score:
            self.best, self._bar = other, self.current.score

    def state(self) -> State:
        """Return the climb's state for a checkpoint, without its constructor's arguments."""
        return {
            "best": self.best.state(),
            "current": self.current.state(),
            "bar": self._bar,
            "number": self.number,
            "rng": self._edits.rng.bit_generator.state,
            "surrogate": self._edits.surrogate.state(),
        }

    def restore(self, state: State) -> None:
        """Restore the :meth:`state` of a climb made with the same vocabulary and settings."""
        self.best = Candidate.of_state(state["best"])
        self.current = Candidate.of_state(state["current"])
        self._bar, self.number = state["bar"], state["number"]
        self._edits.rng.bit_generator.state = state["rng"]
        self._edits.surrogate.restore(state["surrogate"])

    def _accept(self, tried: Sequence[Candidate]) -> bool:
        """Score edited strings that may be a new best in float32; return whether one of them is."""
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
        """Draw the next string, the present or an edited one, by weights exp(score / temperature).

        Return it with the edit that made it, ``None`` if the present string is drawn.
        """
        choices = [(None, self.current), *tried]
        scores = np.array([candidate.score for _, candidate in choices])
        noise = self._edits.rng.gumbel(size=len(scores))
        return choices[int(np.argmax(scores / temperature + noise))]


class Edits:
    """Predicts, proposes and scores edits of one climb's strings, and learns from their scores.

    ``ceiling``, the objective's highest value, is the unit of temperatures in the settings.
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
        """Draft edits of a string, score them and learn from the scores, as a step does."""
        draft = self.draft(current, temperature)
        return self.learn(current, draft, self.evaluator.screen(draft.bodies))

    def draft(self, current: Candidate, temperature: float) -> Draft:
        """Predict and propose edits of a string, without predicted ones scored before.

        Edits are drawn by expected score at a share of ``temperature``, in units of the score.
        """
        settings = self.settings
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
            room=self.evaluator.rules.room,
            temperature=temperature * _DRAW_SHARE,
            rng=self.rng,
        )
        return Draft(predictions, proposals)

    def learn(
        self, current: Candidate, draft: Draft, found: Sequence[Candidate | None]
    ) -> list[_Tried]:
        """Learn from the strings that a draft's edits made, ``None`` for one that breaks a rule.

        Return the edits that keep to the rules and change the string, with what they made.
        """
        self.surrogate.learn(
            current,
            draft.predictions,
            _outcomes("replace", draft.proposals, found),
            _outcomes("combine", draft.proposals, found),
        )
        return [
            (proposal, candidate)
            for proposal, candidate in zip(draft.proposals, found, strict=True)
            if candidate is not None and candidate.text != current.text
        ]


def _outcomes(
    move: MoveName, proposals: Sequence[Proposal], found: Sequence[Candidate | None]
) -> dict[int, Candidate | None]:
    """Return the strings that proposals of one kind made, by row of the prediction they came from.

    ``None`` stands for a string that breaks a rule, or that is tokenized as other tokens than were
    proposed, which says nothing about the prediction.
    """
    return {
        proposal.row: candidate if candidate and candidate.body == proposal.body else None
        for proposal, candidate in zip(proposals, found, strict=True)
        if proposal.move == move and proposal.row is not None
    }
