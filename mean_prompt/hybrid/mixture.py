"""The weights of the posterior's parts, learned from known rows by least squares.

Symbols:

    X   (C, f)   worth of candidates under each part of the posterior, and their traits
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

#: Rows with a useful and with a useless prediction below which trust is not learned.
_LEAST_OF_A_KIND: Final = 10


class Trust:
    """Probability that a row's prediction is useful, by how it fits all else that is known.

    Logistic regression on the signs; 1 for all rows if hardly any known prediction was useless,
    or hardly any useful.
    """

    def __init__(self) -> None:
        self._model: Pipeline | None = None

    def fit(self, signs: Array, useful: NDArray[np.bool_]) -> Self:
        """Learn from (n, s) signs and whether (n,) predictions earned more than retrieval."""
        if min(useful.sum(), (~useful).sum()) >= _LEAST_OF_A_KIND:
            # A few large steps: lbfgs makes many small ones, whose threads wait for each other on
            # a busy machine (0.4 s of 0.5 for a trial of 60 rows, against 0.01).
            logistic = LogisticRegression(solver="newton-cholesky")
            self._model = make_pipeline(StandardScaler(), logistic)
            self._model.fit(signs, useful)
        return self

    def __call__(self, signs: Array) -> Array:
        """Return trust in each row's prediction: (n, s) -> (n,)."""
        if self._model is None:
            return np.ones(len(signs))
        trusted: Array = self._model.predict_proba(signs)[:, 1]
        return trusted


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """Fitted weights.

    Attributes:
        within, between: w and b, (f,) or, with trust, (2 f,).
        level: the constant a.
    """

    within: Array
    between: Array
    level: float

    @classmethod
    def fit(
        cls, features: Array, earned: Array, rows: Numbers, trust: Array | None, *, strength: float
    ) -> Self:
        """Fit to X, y, r (each of 0 to n - 1 at least once) and g (``None`` without predictions).

        The strength of the ridge penalty is in units of the columns' spread.
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
        """Return the expected SCS of one row's candidates: (c, f) -> (c,)."""
        shares = None if trust is None else np.full(len(features), trust)
        parted = _parted(features, shares)
        mean = parted.mean(axis=0)
        worth: Array = (parted - mean) @ self.within + mean @ self.between + self.level
        return worth


class PreparedSamples:
    """Samples under given settings: features and SCS of the candidates that they allow."""

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
        """Fit weights and trust to some of the rows."""
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
        """Return the SCS that a mixture's choices for some rows earn, and the SCS it expected."""
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
        """Return both for every row, each answered by a mixture fitted on the other folds."""
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
    """Return ridge weights of centred columns, penalised in units of each column's spread."""
    spread = columns.std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    scaled = columns / scale
    gram = scaled.T @ scaled + strength * np.eye(columns.shape[1])
    weights: Array = np.linalg.solve(gram, scaled.T @ targets) / scale
    return weights
