"""Settings of a blend, found by Optuna under cross-validation grouped by prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mean_prompt.hybrid.candidates import MOST_HEADS, SEPARATORS, Choice, chosen
from mean_prompt.hybrid.mixture import Array, Mixture, Numbers, Trust
from mean_prompt.hybrid.posterior import Posterior, RowCandidates
from mean_prompt.hybrid.retrieval import MOST_NEIGHBOURS
from mean_prompt.system import Clock

_NO_JOIN: Final = "none"


class BlendSettings(BaseModel):
    """What is tuned of a blend.

    Attributes:
        temperature, neighbours: how neighbours are weighed.
        strength: of the ridge penalty on the mixture's weights.
        heads, shortened, joined, affixed: which candidates are made, see
            :class:`~mean_prompt.hybrid.candidates.Choice`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(default=0.1, gt=0)
    neighbours: int = Field(default=32, ge=1, le=MOST_NEIGHBOURS)
    strength: float = Field(default=10.0, gt=0)
    heads: int = Field(default=MOST_HEADS, ge=0, le=MOST_HEADS)
    shortened: bool = True
    joined: Literal[" ", ". "] | None = " "
    affixed: bool = True

    @property
    def choice(self) -> Choice:
        """Which candidates are made."""
        return Choice(self.heads, self.shortened, self.joined, self.affixed)

    @property
    def posterior(self) -> Posterior:
        """How neighbours are weighed."""
        return Posterior(self.temperature, self.neighbours)


#: Where tuning starts. Beside a prediction, longer strings mostly lose.
TEXT_DEFAULTS: Final = BlendSettings(heads=0, shortened=False)
LLM_DEFAULTS: Final = BlendSettings(joined=None, affixed=False)


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Known rows to fit a blend on, each seen from rows of other prompts.

    Attributes:
        scenes: one a row, of retrievers that were not fitted on its prompt.
        earned: what each of a row's candidates really earns: (c,) a row.
        folds: (n,) number of the fold that each row was tested in.
        served: (n,) whether a row's prediction earned more than the centre of its texts, or
            ``None`` without predictions.
    """

    scenes: Sequence[RowCandidates]
    earned: Sequence[Array]
    folds: Numbers
    served: NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.scenes)

    @property
    def signs(self) -> Array | None:
        """(n, s) signs of the predictions, or ``None`` without."""
        signs = [scene.signs for scene in self.scenes if scene.signs is not None]
        return np.stack(signs) if signs else None


class Chosen(NamedTuple):
    """The best candidate of a scene.

    Attributes:
        number: of the candidate.
        expected: its expected SCS.
        trust: in the prediction, within [0, 1]; ``None`` without one.
        universal: expected SCS of the universal string, which is the first candidate of every
            row, and as sober as ``expected``; ``None`` for candidates made without one.
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
        trust: in predictions, or ``None`` without them.
        score: cross-validated mean SCS of what it chooses.
        candour: cross-validated ratio of what choices earn to what was expected of them; below 1,
            for the best of many candidates is the one most overrated (Smith and Winkler 2006,
            "The optimizer's curse").
    """

    settings: BlendSettings
    mixture: Mixture
    trust: Trust | None
    score: float
    candour: float

    def choose(self, scene: RowCandidates) -> Chosen:
        """Return the best candidate.

        The scene may hold candidates that the settings do not choose; they are passed over.
        """
        allowed = allowed_rows(scene, self.settings)
        trust = None
        if self.trust is not None:
            assert scene.signs is not None
            trust = float(self.trust(scene.signs[None])[0])
        features = scene.features(self.settings.posterior)[allowed]
        expected = self.mixture.expected(features, trust)
        best = int(expected.argmax())
        first = scene.candidates[allowed[0]]
        return Chosen(
            int(allowed[best]),
            self.candour * float(expected[best]),
            trust,
            self.candour * float(expected[0]) if first.kind == "universal" else None,
        )


class _Prepared:
    """Samples under given settings: features and earnings of the candidates that they choose."""

    def __init__(self, samples: Samples, settings: BlendSettings) -> None:
        allowed = [allowed_rows(scene, settings) for scene in samples.scenes]
        self._settings = settings
        self._samples = samples
        self._signs = samples.signs
        self.features = [
            scene.features(settings.posterior)[rows]
            for scene, rows in zip(samples.scenes, allowed, strict=True)
        ]
        self.earned = [earned[rows] for earned, rows in zip(samples.earned, allowed, strict=True)]

    def fit(self, numbers: Numbers) -> tuple[Mixture, Trust | None]:
        """Fit weights and trust to some of the rows."""
        trust = shares = None
        if self._samples.served is not None and self._signs is not None:
            trust = Trust().fit(self._signs[numbers], self._samples.served[numbers])
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
        """Return what some rows earn when a mixture chooses their answers, and what it expected."""
        shares: Sequence[float | None] = [None] * len(numbers)
        if trust is not None and self._signs is not None:
            shares = trust(self._signs[numbers]).tolist()
        hopes = [
            mixture.expected(self.features[row], share)
            for row, share in zip(numbers, shares, strict=True)
        ]
        earned = [self.earned[row][hope.argmax()] for row, hope in zip(numbers, hopes, strict=True)]
        return np.array(earned), np.array([hope.max() for hope in hopes])

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
    hoped = float(expected.mean())
    candour = float(earned.mean()) / hoped if hoped > 0 else 1.0
    mixture, trust = prepared.fit(np.arange(len(samples)))
    return FittedBlend(settings, mixture, trust, float(earned.mean()), candour)


def cross_fitted(samples: Samples, settings: BlendSettings) -> Array:
    """Return what rows earn when each is answered by a blend fitted on the other folds: (n,)."""
    earned, _ = _Prepared(samples, settings).cross_fit()
    return earned


def tune(samples: Samples, *, trials: int, seed: int, clock: Clock | None = None) -> FittedBlend:
    """Return the blend with the best cross-validated settings.

    The first trial is of the defaults, and another one takes their place only where it gains more
    than the standard error of the gain: among many trials one always gains by chance (the rule of
    Breiman et al. 1984, paired).

    Args:
        samples: known rows.
        trials: settings that are tried.
        seed: of the sampler.
        clock: ends the study early; the defaults are used where it ends before any trial.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    with_llm = samples.served is not None
    start = LLM_DEFAULTS if with_llm else TEXT_DEFAULTS
    study.enqueue_trial(_as_params(start))
    tried: list[tuple[BlendSettings, Array]] = []
    for _ in range(trials):
        if clock is not None and clock.expired():
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
    """Return the settings of the best trial, or the first where the gain over it may be chance."""
    first, best = tried[0], max(tried, key=lambda one: float(one[1].mean()))
    gains = best[1] - first[1]
    return (best if gains.mean() > gains.std() / np.sqrt(len(gains)) else first)[0]


def allowed_rows(scene: RowCandidates, settings: BlendSettings) -> Numbers:
    """Return the numbers of a scene's candidates that the settings choose; never none."""
    return np.array(chosen(scene.candidates, settings.choice), np.int64)


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


def _as_params(settings: BlendSettings) -> dict[str, object]:
    return settings.model_dump() | {"joined": settings.joined or _NO_JOIN}
