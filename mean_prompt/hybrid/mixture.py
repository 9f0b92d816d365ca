"""Weights of the posterior's parts, fitted by least squares to rows with given true prompts.

Symbols:

    X   (C, f)   candidates' expected SCS under each part of the posterior, and their traits
    y   (C,)     SCS of the candidates with the true prompts
    r   (C,)     number of the row, of n, that each candidate answers
    g   (n,)     trust in each row's prediction, in [0, 1]

Choosing needs differences between candidates of one row; a calibrated expected score needs the
level of the row as well. Both come from one model with a slope within rows and another between
them (Mundlak 1978): ``y = (x - x̄ᵣ)·w + x̄ᵣ·b + a``, each fitted with a ridge penalty. Weights of
rows whose prediction is trusted differ from those of the others, so that every column appears
twice, times g and times 1 - g.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mean_prompt.hybrid.candidates import allowed_numbers
from mean_prompt.hybrid.retrieval import Numbers
from mean_prompt.hybrid.samples import Array, Samples
from mean_prompt.hybrid.settings import BlendSettings

#: Least number of useful, and of useless, predictions from which trust is learned.
_LEAST_OF_A_KIND: Final = 10


class Trust:
    """Estimates the probability that an LLM's prediction for a row is useful.

    Logistic regression on the signs (cosines of the prediction with what else is known); 1 for
    all rows if hardly any prediction for a known row was useless, or hardly any useful.
    """

    def __init__(self) -> None:
        self._model: Pipeline | None = None

    def fit(self, signs: Array, useful: NDArray[np.bool_]) -> Self:
        """Fit to (n, s) signs (cosines) of predictions and whether each scored above retrieval."""
        if min(useful.sum(), (~useful).sum()) >= _LEAST_OF_A_KIND:
            # A few large steps: lbfgs makes many small ones, whose threads wait for each other on
            # a busy machine (0.4 s of 0.5 for a trial of 60 rows, against 0.01).
            logistic = LogisticRegression(solver="newton-cholesky")
            self._model = make_pipeline(StandardScaler(), logistic)
            self._model.fit(signs, useful)
        return self

    def __call__(self, signs: Array) -> Array:
        """Return (n,) probabilities that predictions are useful, from (n, s) signs (cosines)."""
        if self._model is None:
            return np.ones(len(signs))
        trusted: Array = self._model.predict_proba(signs)[:, 1]
        return trusted


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """A linear model of candidates' scores (SCS), its weights fitted by ridge regression.

    Attributes:
        within, between: weights w and b of the equation above, (f,) or, with trust, (2 f,).
        level: the constant a of the equation.
    """

    within: Array
    between: Array
    level: float

    @classmethod
    def fit(
        cls, features: Array, earned: Array, rows: Numbers, trust: Array | None, *, strength: float
    ) -> Self:
        """Fit to features X, scores y, row numbers r and trust g (``None`` without predictions).

        Each of 0 to n - 1 must be in r. The ridge penalty is in units of the columns' spread.
        """
        parted = _parted(features, None if trust is None else trust[rows])
        counts = np.bincount(rows).astype(float)
        sums = np.zeros((len(counts), parted.shape[1]))
        np.add.at(sums, rows, parted)
        row_means = sums / counts[:, None]
        row_earned = np.bincount(rows, weights=earned) / counts
        within = _ridge(parted - row_means[rows], earned - row_earned[rows], strength)
        middle, level = row_means.mean(axis=0), float(row_earned.mean())
        between = _ridge(row_means - middle, row_earned - level, strength)
        return cls(within, between, level - float(middle @ between))

    def expected(self, features: Array, trust: float | None) -> Array:
        """Return the expected SCS of one row's candidates from their features: (c, f) -> (c,)."""
        shares = None if trust is None else np.full(len(features), trust)
        parted = _parted(features, shares)
        mean = parted.mean(axis=0)
        worth: Array = (parted - mean) @ self.within + mean @ self.between + self.level
        return worth


class PreparedSamples:
    """Training data for a mixture: features and SCS of the candidates that settings allow."""

    def __init__(self, samples: Samples, settings: BlendSettings) -> None:
        allowed = [allowed_numbers(row.candidates, settings) for row in samples.candidates]
        self._settings = settings
        self._samples = samples
        self._signs = samples.signs
        self.features = [
            row.features(settings)[numbers]
            for row, numbers in zip(samples.candidates, allowed, strict=True)
        ]
        self.earned = [
            earned[numbers] for earned, numbers in zip(samples.earned, allowed, strict=True)
        ]

    def fit(self, numbers: Numbers) -> tuple[Mixture, Trust | None]:
        """Fit the mixture's weights and the trust model to the rows with the given numbers."""
        trust = shares = None
        if self._samples.useful is not None and self._signs is not None:
            trust = Trust().fit(self._signs[numbers], self._samples.useful[numbers])
            shares = trust(self._signs[numbers])
        mixture = Mixture.fit(
            np.concatenate([self.features[row] for row in numbers]),
            np.concatenate([self.earned[row] for row in numbers]),
            np.repeat(np.arange(len(numbers)), [len(self.earned[row]) for row in numbers]),
            shares,
            strength=self._settings.strength,
        )
        return mixture, trust

    def earn(self, numbers: Numbers, mixture: Mixture, trust: Trust | None) -> tuple[Array, Array]:
        """Return the true and the expected SCS of the candidates a mixture chooses for rows."""
        shares: Sequence[float | None] = [None] * len(numbers)
        if trust is not None and self._signs is not None:
            shares = trust(self._signs[numbers]).tolist()
        expected = [
            mixture.expected(self.features[row], share)
            for row, share in zip(numbers, shares, strict=True)
        ]
        earned = [
            self.earned[row][worth.argmax()] for row, worth in zip(numbers, expected, strict=True)
        ]
        return np.array(earned), np.array([worth.max() for worth in expected])

    def cross_fit(self) -> tuple[Array, Array]:
        """Return (n,) true and expected SCS of answers chosen by mixtures fitted to other folds."""
        folds = self._samples.folds
        earned, expected = np.zeros(len(folds)), np.zeros(len(folds))
        for fold in np.unique(folds):
            mixture, trust = self.fit(np.flatnonzero(folds != fold))
            tested = np.flatnonzero(folds == fold)
            earned[tested], expected[tested] = self.earn(tested, mixture, trust)
        return earned, expected


def _parted(features: Array, trust: Array | None) -> Array:
    if trust is None:
        return features
    return np.concatenate([features * trust[:, None], features * (1 - trust)[:, None]], axis=1)


def _ridge(columns: Array, targets: Array, strength: float) -> Array:
    """Return ridge regression weights of centred columns, penalised in units of their spread."""
    spread = columns.std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    scaled = columns / scale
    gram = scaled.T @ scaled + strength * np.eye(columns.shape[1])
    weights: Array = np.linalg.solve(gram, scaled.T @ targets) / scale
    return weights
