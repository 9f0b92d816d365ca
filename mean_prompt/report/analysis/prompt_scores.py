"""Histogram of a string's cosines with a corpus's prompts; nearest and farthest prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.report.analysis.data import CosineSpread, PromptScore

#: Bins of the histogram.
_BINS: Final = 40
#: Width of the bins if all cosines are equal.
_LEAST_RANGE: Final = 1e-3
#: Most characters of a prompt that are kept: some are whole documents.
_LONGEST: Final = 1_000


def spread(cosines: NDArray[np.floating], weights: NDArray[np.floating]) -> CosineSpread:
    """Return the histogram and the mean of (N,) cosines with (N,) weights of sum 1."""
    low, high = float(cosines.min()), float(cosines.max())
    high = max(high, low + _LEAST_RANGE)
    shares, edges = np.histogram(cosines, bins=_BINS, range=(low, high), weights=weights)
    return CosineSpread(
        edges=tuple(np.round(edges, 5).tolist()),
        shares=tuple(np.round(shares / shares.sum(), 7).tolist()),
        mean=float(cosines @ weights / weights.sum()),
    )


def nearest_and_farthest(
    prompts: Sequence[str],
    cosines: NDArray[np.floating],
    weights: NDArray[np.floating],
    count: int,
) -> tuple[tuple[PromptScore, ...], tuple[PromptScore, ...]]:
    """Return the ``count`` prompts of highest and those of lowest cosine, most extreme first."""
    order = np.argsort(-cosines, kind="stable")

    def rows(numbers: NDArray[np.int64]) -> tuple[PromptScore, ...]:
        return tuple(
            PromptScore(
                prompt=truncate(prompts[row], _LONGEST),
                cosine=float(cosines[row]),
                share=float(weights[row]),
            )
            for row in numbers.tolist()
        )

    return rows(order[:count]), rows(order[::-1][:count])


def truncate(text: str, longest: int) -> str:
    """Return a text, or its beginning with an ellipsis if it is longer than allowed."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
