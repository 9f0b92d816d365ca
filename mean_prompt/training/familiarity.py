"""How much a row looks like known ones, and how well its prompt's vector is predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.objective import Vectors, normalized
from mean_prompt.training.regression import Array, side_by_side

#: Known rows that a row is compared with, the most similar.
_NEAREST: Final = 5
#: Quantiles of the known rows' own likeness to rows of other prompts: up to the first a row is
#: foreign, from the second on it is familiar.
_QUANTILES: Final = (0.01, 0.1)
#: Ridge penalty of the calibration, in rows.
_RIDGE: Final = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Familiarity:
    """Tells rows that look like known ones from foreign ones, by the cosines of their features.

    Attributes:
        known: (n, f) unit features of the known rows.
        foreign, familiar: likeness up to which a row counts as foreign, and from which it does not.
    """

    known: Vectors
    foreign: float
    familiar: float

    @classmethod
    def fit(cls, views: Vectors, groups: NDArray[np.int64]) -> tuple[Familiarity, Array]:
        """Fit to (m, n, d) views of known rows; return it, and their own (n,) familiarity.

        The known rows are compared with those of other groups.
        """
        known = _unit_features(views)
        cosines = known @ known.T
        cosines[groups[:, None] == groups[None]] = -np.inf
        likeness = _nearest_mean(cosines)
        found = cls(known, *np.quantile(likeness, _QUANTILES).tolist())
        return found, found._scaled(likeness)

    def of(self, views: Vectors) -> Array:
        """Return (n,) how much rows look like known ones, from 0 to 1, from (m, n, d) views."""
        return self._scaled(_nearest_mean(_unit_features(views) @ self.known.T))

    def _scaled(self, likeness: Array) -> Array:
        width = max(self.familiar - self.foreign, 1e-9)
        return np.clip((likeness - self.foreign) / width, 0.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Expected SCS of predicted vectors, a linear function of their lengths and familiarity.

    A predicted vector is a mean over what the prompt may be, so that its length is the cosine
    expected of it if the prediction is right.

    Attributes:
        weights: coefficients of 1, length, length cubed and familiarity.
        least, most: lengths that were seen; others count as the nearest of them.
    """

    weights: Array
    least: float
    most: float

    @classmethod
    def fit(cls, lengths: Array, familiar: Array, earned: Array) -> Calibration:
        """Fit to (n,) lengths, familiarity and earned SCS of left-out predictions."""
        rows = _terms(lengths, familiar)
        pull = _RIDGE * np.diag([0.0, 1.0, 1.0, 1.0])
        level = float(earned.mean())
        away = np.linalg.solve(rows.T @ rows + pull, rows.T @ (earned - level))
        weights = away + np.array([level, 0.0, 0.0, 0.0])
        return cls(weights, float(lengths.min()), float(lengths.max()))

    def expected(self, lengths: Array, familiar: Array) -> Array:
        """Return the (n,) expected SCS, in [0, 1]."""
        seen = np.clip(lengths, self.least, self.most)
        return np.clip(_terms(seen, familiar) @ self.weights, 0.0, 1.0)


def _terms(lengths: Array, familiar: Array) -> Array:
    return np.stack([np.ones(len(lengths)), lengths, lengths**3, familiar], axis=1)


def _unit_features(views: Vectors) -> Vectors:
    return normalized(side_by_side(views))


def _nearest_mean(cosines: NDArray[np.floating]) -> Array:
    k = min(_NEAREST, cosines.shape[1])
    nearest = np.partition(cosines, -k, axis=1)[:, -k:].astype(np.float64)
    there = np.isfinite(nearest)  # rows of the same group are not
    means: Array = np.where(there, nearest, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return means
