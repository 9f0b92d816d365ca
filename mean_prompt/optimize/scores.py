"""Scores that a result compares its string with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Baseline:
    """A string that a search should beat, with its float32 score over every prompt."""

    name: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Side:
    """Predictions with and without an affix, on the rows of one side of a hold-out.

    Attributes:
        rows: number of predictions.
        groups: number of distinct true prompts among them.
        without: mean SCS of the predictions alone.
        affixed: mean SCS with the affix.
        low, high: 95 % interval of ``affixed - without``, from a bootstrap of paired differences
            over the groups.
    """

    rows: int
    groups: int
    without: float
    affixed: float
    low: float
    high: float

    @property
    def ratio(self) -> float:
        """Score with the affix as a multiple of the score without."""
        return self.affixed / self.without


@dataclass(frozen=True, slots=True)
class ContextScores:
    """What an affix does for predictions.

    Attributes:
        position: which side of the prediction it stands on.
        everything: all rows given.
        train: those that the search saw.
        holdout: those that it did not see, or ``None`` without a hold-out.
    """

    position: Literal["suffix", "prefix"]
    everything: Side
    train: Side
    holdout: Side | None
