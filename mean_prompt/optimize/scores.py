"""Reference scores that the string found by a search is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from mean_prompt.encoder import Encoder
    from mean_prompt.objective import ExpectedSCS, Vectors

#: Strings that competitors published as answers for every row, as the README lists them.
PUBLISHED: Final = (
    "Improve the text to this.",
    (
        "Please improve this text using the writing style with maintaining the original meaning "
        "but altering the tone."
    ),
)


@dataclass(frozen=True, slots=True)
class Baseline:
    """A string that a search should beat, with its float32 score over every prompt."""

    name: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Side:
    """Mean SCS of predictions with and without an affix (a string joined to each), on some rows.

    Attributes:
        rows: number of predictions.
        groups: number of distinct true prompts.
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
        """Mean score with the affix as a multiple of the mean score without it."""
        return self.affixed / self.without


@dataclass(frozen=True, slots=True)
class ContextScores:
    """Scores with and without an affix over all rows, training rows and held-out rows, if any."""

    position: Literal["suffix", "prefix"]
    everything: Side
    train: Side
    holdout: Side | None


def score_baselines(
    prompts: Sequence[str], vectors: Vectors, objective: ExpectedSCS, encoder: Encoder
) -> list[Baseline]:
    """Return the corpus's best prompt and published competition answers, scored on all prompts.

    The n prompts with (n, d) unit vectors are all of the corpus, or those that score best.
    """
    scores = objective.score(vectors)
    best = int(np.argmax(scores))
    published = objective.score(encoder.encode(PUBLISHED))
    return [
        Baseline("best corpus prompt", prompts[best], float(scores[best])),
        *(
            Baseline("published string", text, float(score))
            for text, score in zip(PUBLISHED, published, strict=True)
        ),
    ]
