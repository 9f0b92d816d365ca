"""The settings of a blend, found by Optuna under cross-validation grouped by prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray

from mean_prompt.hybrid.candidates import SEPARATORS, allowed_numbers
from mean_prompt.hybrid.mixture import Array, Mixture, Trust
from mean_prompt.hybrid.posterior import RowCandidates
from mean_prompt.hybrid.rows import Numbers
from mean_prompt.hybrid.settings import (
    LLM_DEFAULTS,
    MOST_HEADS,
    MOST_NEIGHBOURS,
    TEXT_DEFAULTS,
    BlendSettings,
)
from mean_prompt.system import Deadline

_NO_JOIN: Final = "none"


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Known rows to fit a blend on, each seen from rows of other prompts.

    Attributes:
        candidates: the candidates of n rows, compared with rows of other prompts alone.
        earned: (c,) SCS of each row's candidates with its true prompt.
        folds: (n,) number of the fold that each row was held out in.
        useful: (n,) whether a row's prediction earned more than the centre of its texts, or
            ``None`` without predictions.
    """

    candidates: Sequence[RowCandidates]
    earned: Sequence[Array]
    folds: Numbers
    useful: NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.candidates)

    @property
    def signs(self) -> Array | None:
        """(n, s) signs of the predictions, or ``None`` without predictions."""
        signs = [row.signs for row in self.candidates if row.signs is not None]
        return np.stack(signs) if signs else None


class Chosen(NamedTuple):
    """The best candidate of a row.

    Attributes:
        number: number of the candidate.
        expected: its expected SCS.
        trust: trust in the prediction, within [0, 1]; ``None`` without one.
        universal: expected SCS of the universal string, which is the first candidate of every
            row, calibrated as ``expected``; ``None`` for candidates made without one.
    """

    number: int
    expected: float
    trust: float | None
    universal: float | None


@dataclass(frozen=True, slots=True, eq=False)
class FittedBlend:
    """Settings with the weights fitted under them.

    Attributes:
        settings: as tuned.
        mixture: weights of the posterior's parts.
        trust: trust in predictions, or ``None`` without them.
        score: cross-validated mean SCS of the chosen answers.
        calibration: cross-validated ratio of the SCS that chosen answers earn to the SCS that
            was expected of them; below 1, for the best of many candidates is the one most
            overrated (Smith and Winkler 2006, "The optimizer's curse").
    """

    settings: BlendSettings
    mixture: Mixture
    trust: Trust | None
    score: float
    calibration: float

    def choose(self, row: RowCandidates) -> Chosen:
        """Return the best candidate of a row among those that the settings allow."""
        allowed = allowed_numbers(row.candidates, self.settings)
        trust = None
        if self.trust is not None:
            assert row.signs is not None
            trust = float(self.trust(row.signs[None])[0])
        expected = self.mixture.expected(row.features(self.settings)[allowed], trust)
        best = int(expected.argmax())
        first = row.candidates[allowed[0]]
        return Chosen(
            allowed[best],
            self.calibration * float(expected[best]),
            trust,
            self.calibration * float(expected[0]) if first.kind == "universal" else None,
        )


class _Prepared:
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


def fit_blend(samples: Samples, settings: BlendSettings) -> FittedBlend:
    """Fit trust and weights under given settings, and measure them by cross-validation."""
    prepared = _Prepared(samples, settings)
    earned, expected = prepared.cross_fit()
    mean = float(expected.mean())
    calibration = float(earned.mean()) / mean if mean > 0 else 1.0
    mixture, trust = prepared.fit(np.arange(len(samples)))
    return FittedBlend(settings, mixture, trust, float(earned.mean()), calibration)


def cross_fitted(samples: Samples, settings: BlendSettings) -> Array:
    """Return (n,) SCS of the rows' answers, each chosen by a blend fitted on the other folds."""
    earned, _ = _Prepared(samples, settings).cross_fit()
    return earned


def tune(
    samples: Samples, *, trials: int, seed: int, deadline: Deadline | None = None
) -> FittedBlend:
    """Return the blend with the best cross-validated settings.

    The first trial is of the defaults. Another replaces them only if its gain exceeds the
    standard error of the gain: among many trials one always gains by chance (the rule of Breiman
    et al. 1984, paired).

    Args:
        samples: known rows.
        trials: number of settings to try.
        seed: seed of the sampler.
        deadline: ends the study early; without any trial the defaults are used.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    with_llm = samples.useful is not None
    start = LLM_DEFAULTS if with_llm else TEXT_DEFAULTS
    study.enqueue_trial(start.model_dump() | {"joined": start.joined or _NO_JOIN})
    tried: list[tuple[BlendSettings, Array]] = []
    for _ in range(trials):
        if deadline is not None and deadline.expired:
            break
        trial = study.ask()
        settings = _suggest(trial, with_llm=with_llm)
        earned = cross_fitted(samples, settings)
        study.tell(trial, float(earned.mean()))
        tried.append((settings, earned))
    if not tried:
        return fit_blend(samples, start)
    return fit_blend(samples, _best(tried))


def _best(tried: Sequence[tuple[BlendSettings, Array]]) -> BlendSettings:
    """Return the settings of the best trial, or of the first if the gain over it may be chance."""
    first, best = tried[0], max(tried, key=lambda one: float(one[1].mean()))
    gains = best[1] - first[1]
    return (best if gains.mean() > gains.std() / np.sqrt(len(gains)) else first)[0]


def _suggest(trial: optuna.trial.BaseTrial, *, with_llm: bool) -> BlendSettings:
    joined = trial.suggest_categorical("joined", [_NO_JOIN, *SEPARATORS])
    return BlendSettings.model_validate(
        {
            "temperature": trial.suggest_float("temperature", 0.01, 0.3, log=True),
            "neighbours": trial.suggest_int("neighbours", 4, MOST_NEIGHBOURS, log=True),
            "strength": trial.suggest_float("strength", 0.3, 300.0, log=True),
            "joined": None if joined == _NO_JOIN else joined,
            "affixed": trial.suggest_categorical("affixed", [True, False]),
            # Without predictions nothing is shortened or put behind a head.
            "heads": trial.suggest_int("heads", 0, MOST_HEADS) if with_llm else 0,
            "shortened": with_llm and trial.suggest_categorical("shortened", [True, False]),
        }
    )
