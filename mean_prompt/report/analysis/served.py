"""Which prompts a string serves: the spread of its cosines, the nearest and the farthest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.report.analysis.data import Served, Spread

#: Bins of the distribution.
_BINS: Final = 40
#: Width of the bins where all cosines are equal.
_LEAST_RANGE: Final = 1e-3
#: Characters of a prompt that are kept: some are whole documents.
_LONGEST: Final = 1_000


def spread(cosines: NDArray[np.floating], weights: NDArray[np.floating]) -> Spread:
    """Return the distribution of (N,) cosines under (N,) weights of sum 1."""
    low, high = float(cosines.min()), float(cosines.max())
    high = max(high, low + _LEAST_RANGE)
    shares, edges = np.histogram(cosines, bins=_BINS, range=(low, high), weights=weights)
    return Spread(
        edges=tuple(np.round(edges, 5).tolist()),
        shares=tuple(np.round(shares / shares.sum(), 7).tolist()),
        mean=float(cosines @ weights / weights.sum()),
    )


def nearest_and_farthest(
    prompts: Sequence[str],
    cosines: NDArray[np.floating],
    weights: NDArray[np.floating],
    count: int,
) -> tuple[tuple[Served, ...], tuple[Served, ...]]:
    """Return the prompts with the highest and with the lowest cosines, the extreme ones first."""
    order = np.argsort(-cosines, kind="stable")

    def rows(numbers: NDArray[np.int64]) -> tuple[Served, ...]:
        return tuple(
            Served(
                prompt=shortened(prompts[row], _LONGEST),
                cosine=float(cosines[row]),
                share=float(weights[row]),
            )
            for row in numbers.tolist()
        )

    return rows(order[:count]), rows(order[::-1][:count])


def shortened(text: str, longest: int) -> str:
    """Return a text, or its beginning with an ellipsis where it is longer than allowed."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
