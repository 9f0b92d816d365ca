"""Bootstrap confidence intervals of weighted means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided 95 % confidence interval."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def bootstrap_interval(
    values: NDArray[np.floating],
    weights: NDArray[np.floating],
    groups: NDArray[np.integer],
    *,
    seed: int = 0,
    resamples: int = 2_000,
) -> Interval:
    """Return the 95 % percentile interval of a weighted mean, resampling whole groups.

    Near-duplicates share a group; drawing groups rather than rows (Field and Welsh 2007, the
    cluster bootstrap) keeps the interval from shrinking if rows repeat each other.

    Args:
        values: (N,) values to average.
        weights: (N,) weights of the values.
        groups: (N,) group numbers, any integers; rows of one group are drawn together.
        seed: random seed of the resampling.
        resamples: number of bootstrap samples.
    """
    _, members = np.unique(groups, return_inverse=True)
    weighted = np.bincount(members, weights=values * weights)
    mass = np.bincount(members, weights=weights)
    rng = np.random.default_rng(seed)
    count = len(mass)
    means = np.empty(resamples)
    for i in range(resamples):
        drawn = np.bincount(rng.integers(count, size=count), minlength=count)
        means[i] = (drawn @ weighted) / (drawn @ mass)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(low), float(high))
