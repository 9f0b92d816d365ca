"""Strings that a result is compared with: the best prompt of the corpus and published ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from mean_prompt.encoder import Encoder
from mean_prompt.objective import ExpectedSCS, Vectors
from mean_prompt.optimize.scores import Baseline

#: Strings that competitors published as answers for every row, as the README lists them.
PUBLISHED: Final = (
    "Improve the text to this.",
    (
        "Please improve this text using the writing style with maintaining the original meaning "
        "but altering the tone."
    ),
)


def score_baselines(
    prompts: Sequence[str], vectors: Vectors, objective: ExpectedSCS, encoder: Encoder
) -> list[Baseline]:
    """Return the best prompt of the corpus and the published strings.

    Args:
        prompts: n, all of them or those that score best.
        vectors: (n, d) unit vectors of the prompts.
        objective: over all prompts.
        encoder: for the published strings.
    """
    scores = objective.score(vectors)
    best = int(np.argmax(scores))
    rows = [Baseline("best corpus prompt", prompts[best], float(scores[best]))]
    published = objective.score(encoder.encode(PUBLISHED))
    rows += [
        Baseline("published string", text, float(score))
        for text, score in zip(PUBLISHED, published, strict=True)
    ]
    return rows
