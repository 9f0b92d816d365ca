"""Regression of prompts' vectors on rows' views: a scalar for each view, and a ridge on all.

Symbols, over n known rows with m views of d numbers each:

    T    (n, d)      unit vectors of the true prompts
    B_k  (n, d)      the rows' vectors in view k; s_k its scalar
    X    (n, f)      the views side by side, centred; K = X Xᵀ, scaled to a mean diagonal of 1
    W    (n,)        weights of the rows
    Q    (n, n)      (K + alpha W⁻¹)⁻¹, with the mean μ eliminated: Q - Q1 1ᵀQ / 1ᵀQ1

The model is ``T = μ + Σ s_k B_k + X β + noise`` with a normal prior on β and noise of variance
alpha / W, so that the errors of rows with like features go together. Scalars and mean are fitted by
generalised least squares under that covariance (Aitken 1936), ``A s = b`` with ``A_kl = <B_k, Q
B_l>`` and ``b_k = <B_k, Q T>``; β follows as the ridge regression of what is left. A plain ridge
would have to learn the identity: d² numbers in place of one scalar.

The prediction of a group of rows by all others has a closed form: with the residuals ``R = T -
Σ s_k B_k`` they miss the truth by ``(Q_gg)⁻¹ (Q R)_g`` (the block form of Allen's PRESS, 1974).
Only the scalars have then seen the group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.objective import Vectors

Array = NDArray[np.float64]

#: Share of its diagonal added to A, so that views that are nearly the same share their scalar.
_SCALAR_RIDGE: Final = 1e-3
#: Least weight of a row, as a share of the largest.
_LEAST_WEIGHT: Final = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class ViewRegression:
    """A fitted regression of vectors on views.

    Attributes:
        scalars: (m,) factor of each view.
        mean: (d,) the mean μ.
        weights: (f, d) ridge weights β; ``centre`` (f,) is taken off the features.
        left_out: (n, d) prediction of each known row by the rows of other groups.
    """

    scalars: Array
    mean: Array
    centre: Array
    weights: Array
    left_out: Array

    def predict(self, views: Vectors) -> Array:
        """Return the (n, d) expected vectors of rows, not normalised, from (m, n, d) views."""
        whole = np.tensordot(self.scalars, views.astype(np.float64), axes=1)
        predicted: Array = self.mean + whole + (side_by_side(views) - self.centre) @ self.weights
        return predicted


class Fitter:
    """Fits regressions to the same known rows under different penalties.

    Args:
        views: (m, n, d) vectors of the rows in each view; zeros where a view has nothing.
        targets: (n, d) unit vectors T.
        groups: (n,) numbers of groups of rows that are left out together.
    """

    def __init__(self, views: Vectors, targets: Vectors, groups: NDArray[np.int64]) -> None:
        self._bases = views.astype(np.float64)
        self._targets = targets.astype(np.float64)
        features = side_by_side(views)
        self._centre = features.mean(axis=0)
        self._features = features - self._centre
        gram = self._features @ self._features.T
        self._scale = max(float(np.trace(gram)) / len(gram), 1e-12)
        self._gram = gram / self._scale
        self._members = [np.flatnonzero(groups == group) for group in np.unique(groups)]

    def fit(self, alpha: float) -> ViewRegression:
        """Fit under a penalty: with equal weights first, then by how well each row is predicted.

        The weight of a row is the squared cosine of its left-out prediction with the truth, which
        is how fast its SCS grows with the cosine: one step of gradient ascent on the mean SCS.
        """
        first = self._fit(alpha, np.ones(len(self._targets)))
        cosines = np.einsum("nd,nd->n", first.left_out, self._targets)
        cosines /= np.maximum(np.linalg.norm(first.left_out, axis=1), 1e-12)
        weights = np.maximum(cosines, 0.0) ** 2
        weights = np.maximum(weights, _LEAST_WEIGHT * max(weights.max(), 1e-12))
        return self._fit(alpha, weights / weights.mean())

    def _fit(self, alpha: float, weights: Array) -> ViewRegression:
        inverse = np.linalg.inv(self._gram + np.diag(alpha / weights))
        sums = inverse.sum(axis=1)
        centred = inverse - np.outer(sums, sums) / sums.sum()
        count = len(self._bases)
        pulled = np.tensordot(self._bases, centred, axes=(1, 1)).transpose(0, 2, 1)
        flat, pulled = (part.reshape(count, self._targets.size) for part in (self._bases, pulled))
        gram, moments = flat @ pulled.T, pulled @ self._targets.ravel()
        gram[np.diag_indices(count)] += _SCALAR_RIDGE * gram.diagonal() + 1e-12
        scalars = np.linalg.solve(gram, moments).astype(np.float64)
        rest = self._targets - np.tensordot(scalars, self._bases, axes=1)
        dual = centred @ rest
        left_out = np.empty_like(self._targets)
        for rows in self._members:
            missed = np.linalg.solve(centred[np.ix_(rows, rows)], dual[rows])
            left_out[rows] = self._targets[rows] - missed
        return ViewRegression(
            scalars,
            sums @ rest / sums.sum(),
            self._centre,
            self._features.T @ dual / self._scale,
            left_out,
        )


def side_by_side(views: Vectors) -> Array:
    """Return the features of rows, their views one after the other: (m, n, d) -> (n, m d)."""
    count, rows, dimension = views.shape
    return views.transpose(1, 0, 2).reshape(rows, count * dimension).astype(np.float64)
