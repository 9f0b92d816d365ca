"""Chooses among predictors of vectors by cross-validation, with a simpler one for foreign rows.

The predictors form a ladder: the mean of the known prompts, a regression on the texts (and
predictions) themselves, and one on all views. What a view is worth is learned from the known rows,
so that a row that looks like none of them gets the next simpler predictor's vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from mean_prompt.objective import Vectors, normalized, sharpened_cosines
from mean_prompt.system import Deadline
from mean_prompt.training.familiarity import Calibration, Familiarity
from mean_prompt.training.regression import Array, Fitter, ViewRegression

RungName = Literal["mean", "texts", "views"]

#: Penalties that cross-validation chooses from.
_ALPHAS: Final = (1.0, 4.0, 16.0)


@dataclass(frozen=True, slots=True)
class Tried:
    """Cross-validated mean SCS of one predictor's vectors with the true prompts."""

    rung: RungName
    alpha: float
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Rung:
    """A predictor of the ladder: a regression on the views of some numbers, under a penalty."""

    name: RungName
    alpha: float
    views: tuple[int, ...]
    regression: ViewRegression

    def predict(self, views: Vectors) -> Array:
        """Return (n, d) expected vectors from all (m, n, d) views of the rows."""
        return self.regression.predict(views[list(self.views)])


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """Where the prompts of n rows are expected.

    Attributes:
        vectors: (n, d) unit vectors.
        expected: (n,) expected SCS of these with the true prompts, calibrated, in [0, 1].
        familiar: (n,) how much rows look like known ones, from 0 (foreign) to 1.
    """

    vectors: Vectors
    expected: Array
    familiar: Array

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: NDArray[np.int64]) -> Forecast:
        """Return the forecast of some rows, in the order of their numbers."""
        return Forecast(self.vectors[rows], self.expected[rows], self.familiar[rows])

    def with_rows(self, rows: Sequence[int], other: Forecast) -> Forecast:
        """Return this forecast with another's in place of the rows of the given numbers."""
        parts = []
        for name in ("vectors", "expected", "familiar"):
            part = getattr(self, name).copy()
            part[list(rows)] = getattr(other, name)
            parts.append(part)
        return Forecast(*parts)


@dataclass(frozen=True, slots=True, eq=False)
class Ladder:
    """The predictor chosen, the one for foreign rows, and what their vectors are worth.

    Attributes:
        fallback: the rung below that it was better than; the chosen one again if it is the lowest.
        tried: all predictors that were compared.
    """

    best: Rung
    fallback: Rung
    familiarity: Familiarity
    calibration: Calibration
    tried: tuple[Tried, ...]

    @classmethod
    def fit(
        cls,
        views: Vectors,
        plain: Sequence[int],
        targets: Vectors,
        groups: NDArray[np.int64],
        deadline: Deadline | None = None,
    ) -> tuple[Ladder, Forecast]:
        """Fit to known rows; return the ladder, and forecasts of each by rows of other groups.

        Args:
            views: (m, n, d) vectors of the rows in each view.
            plain: numbers of the views of the rung ``texts``.
            targets: (n, d) unit vectors of the true prompts.
            groups: (n,) numbers of groups of rows that are left out together.
            deadline: checked between fits; ``OutOfTimeError`` is raised.
        """
        best_of: dict[RungName, tuple[Array, Rung]] = {}
        tried: list[Tried] = []
        numbers: dict[RungName, tuple[int, ...]] = {
            "mean": (),
            "texts": tuple(plain),
            "views": tuple(range(len(views))),
        }
        for name, some in numbers.items():
            fitter = Fitter(views[list(some)], targets, groups)
            for alpha in _ALPHAS if some else _ALPHAS[:1]:
                if deadline is not None:
                    deadline.check()
                regression = fitter.fit(alpha)
                earned = _earned(regression.left_out, targets)
                tried.append(Tried(name, alpha, float(earned.mean())))
                if name not in best_of or earned.mean() > best_of[name][0].mean():
                    best_of[name] = earned, Rung(name, alpha, some, regression)
        fallback = best = best_of["mean"][1]
        highest = best_of["mean"][0]
        for name in ("texts", "views"):
            earned, rung = best_of[name]
            # The rule of one standard error (Breiman et al. 1984): scalars have seen every row.
            if (earned - highest).mean() > (earned - highest).std() / np.sqrt(len(earned)):
                fallback, best, highest = best, rung, earned
        familiarity, familiar = Familiarity.fit(views, groups)
        mixed = _mixed(best.regression.left_out, fallback.regression.left_out, familiar)
        lengths = np.linalg.norm(mixed, axis=1)
        calibration = Calibration.fit(lengths, familiar, _earned(mixed, targets))
        ladder = cls(best, fallback, familiarity, calibration, tuple(tried))
        return ladder, ladder._forecast(mixed, familiar)

    def forecast(self, views: Vectors) -> Forecast:
        """Return where rows' prompts are expected, from (m, n, d) views."""
        familiar = self.familiarity.of(views)
        mixed = _mixed(self.best.predict(views), self.fallback.predict(views), familiar)
        return self._forecast(mixed, familiar)

    def _forecast(self, mixed: Array, familiar: Array) -> Forecast:
        lengths = np.linalg.norm(mixed, axis=1)
        return Forecast(normalized(mixed), self.calibration.expected(lengths, familiar), familiar)


def _mixed(best: Array, fallback: Array, familiar: Array) -> Array:
    share = familiar[:, None]
    return share * best + (1.0 - share) * fallback


def mean_scs(predicted: Array, targets: Vectors) -> float:
    """Return the mean SCS of (n, d) predicted vectors of any length with the true unit ones."""
    return float(_earned(predicted, targets).mean())


def _earned(predicted: Array, targets: Vectors) -> Array:
    """Return (n,) SCS of predicted vectors of any length with the true ones."""
    return sharpened_cosines(normalized(predicted), targets).astype(np.float64)
