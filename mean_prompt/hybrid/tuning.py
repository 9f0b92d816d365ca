"""Tunes the settings of a blend with Optuna, by cross-validation grouped by prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import optuna

from mean_prompt.hybrid.candidates import SEPARATORS, allowed_numbers
from mean_prompt.hybrid.mixture import Mixture, PreparedSamples, Trust
from mean_prompt.hybrid.posterior import RowCandidates
from mean_prompt.hybrid.retrieval import Numbers
from mean_prompt.hybrid.samples import Array, Samples
from mean_prompt.hybrid.settings import (
    LLM_DEFAULTS,
    MOST_HEADS,
    MOST_NEIGHBOURS,
    TEXT_DEFAULTS,
    BlendSettings,
)
from mean_prompt.system import Deadline

_NO_JOIN: Final = "none"


class Chosen(NamedTuple):
    """The candidate answer chosen for a row, with its expected score.

    Attributes:
        universal: expected SCS of the universal string, which is the first candidate of every
            row, calibrated as ``expected``; ``None`` for candidates made without one.
        allowed: (a,) numbers of the candidates that the settings allow.
        worths: (a,) their expected SCS, calibrated.
    """

    number: int
    expected: float
    trust: float | None
    universal: float | None
    allowed: Numbers
    worths: Array


@dataclass(frozen=True, slots=True, eq=False)
class FittedBlend:
    """Settings of a blend, with the mixture weights and trust model fitted under them.

    Attributes:
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
        """Return the candidate with the highest expected SCS that the settings allow for a row."""
        allowed = allowed_numbers(row.candidates, self.settings)
        trust = None
        if self.trust is not None:
            assert row.signs is not None
            trust = float(self.trust(row.signs[None])[0])
        expected = self.mixture.expected(row.features(self.settings)[allowed], trust)
        worths = self.calibration * expected
        best = int(worths.argmax())
        first = row.candidates[allowed[0]]
        universal = float(worths[0]) if first.kind == "universal" else None
        return Chosen(
            allowed[best], float(worths[best]), trust, universal, np.array(allowed), worths
        )


def fit_blend(samples: Samples, settings: BlendSettings) -> FittedBlend:
    """Fit a blend's mixture weights and trust under given settings, and cross-validate it."""
    prepared = PreparedSamples(samples, settings)
    earned, expected = prepared.cross_fit()
    mean = float(expected.mean())
    calibration = float(earned.mean()) / mean if mean > 0 else 1.0
    mixture, trust = prepared.fit(np.arange(len(samples)))
    return FittedBlend(settings, mixture, trust, float(earned.mean()), calibration)


def tune(
    samples: Samples,
    *,
    trials: int,
    seed: int,
    start: BlendSettings | None = None,
    deadline: Deadline | None = None,
) -> FittedBlend:
    """Tune a blend's settings by cross-validation and return the blend fitted with the best.

    The first trial is of ``start``. Another replaces it only if its gain exceeds the standard
    error of the gain: among many trials one always gains by chance (the rule of Breiman et al.
    1984, paired).

    If ``trials`` is 0, ``start`` is used, or the defaults if it is ``None``.
    """
    with_llm = samples.useful is not None
    start = start or (LLM_DEFAULTS if with_llm else TEXT_DEFAULTS)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.enqueue_trial(start.model_dump() | {"joined": start.joined or _NO_JOIN})
    tried: list[tuple[BlendSettings, Array]] = []
    for _ in range(trials):
        if deadline is not None and deadline.expired:
            break
        trial = study.ask()
        settings = _suggest(trial, with_llm=with_llm)
        earned, _expected = PreparedSamples(samples, settings).cross_fit()
        study.tell(trial, float(earned.mean()))
        tried.append((settings, earned))
    return fit_blend(samples, _best(tried) if tried else start)


def _best(tried: Sequence[tuple[BlendSettings, Array]]) -> BlendSettings:
    """Return the best trial's settings; the first's if it is within one standard error."""
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
