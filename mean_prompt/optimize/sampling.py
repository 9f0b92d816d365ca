"""Records of ended climbs, by which Optuna draws settings and decides which climbs to end early.

Both decisions depend on the ended climbs and a seed alone, through a study in memory. So no
trial ever waits in a storage for a process that may be dead, a climb's settings follow from its
number, and what a storage holds are climbs that ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self, TypeVar

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mean_prompt.optimize.climb import ClimbSettings
from mean_prompt.optimize.exchange import ExchangeKind
from mean_prompt.optimize.moves import MoveMix
from mean_prompt.optimize.starts import StartKind

#: Scores reported of each climb, evenly over its length.
REPORTS: Final = 10
#: Reports before which no climb is pruned, and climbs that must have ended before one is.
PRUNE_FROM: Final = 4
_PRUNE_AFTER: Final = 3
#: Only the last climbs are learned from: Optuna takes longer with every trial, and in a space that
#: is soon exhausted thousands of climbs end after a few steps.
_RECENT: Final = 250
#: Ranges of how often swaps and moves, and phrases, are tried.
_ORDER: Final = (0.02, 0.2)
_PHRASE: Final = (0.01, 0.2)
#: User attributes of a trial, one for each fact: a dashboard shows, sorts and exports attributes
#: one by one, and cuts what is nested.
_ATTRIBUTES: Final = ("number", "text", "evaluations")

_Bound = TypeVar("_Bound", int, float)


def _rising(bounds: tuple[_Bound, _Bound]) -> tuple[_Bound, _Bound]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"a range goes from its lowest to its highest value: found {bounds}")
    return bounds


_Width = Annotated[int, Field(ge=1, le=4096)]
_Heat = Annotated[float, Field(gt=0, le=1)]
_Kick = Annotated[int, Field(ge=0)]


class StudySettings(BaseModel):
    """Settings of a study: how it divides a budget among climbs, and what it varies in them.

    Attributes:
        climb_evaluations: strings encoded in one climb, about, at most: a climber's first climb is
            shorter, and each next one longer.
        exchange: how climbs that run side by side learn from each other
            (:mod:`~mean_prompt.optimize.exchange`).
        prune: ``median`` ends a climb that is behind half of the earlier ones; ``none`` never.
        starts: kinds of start string that may be drawn; the first climb takes the first kind.
        width: range of the number of edits proposed in each step.
        hot: range of a climb's first temperature, as a share of the highest possible score.
        kick: range of the number of random edits to the best string before a climb starts from it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    climb_evaluations: int = Field(default=75_000, ge=1)
    exchange: ExchangeKind = "rivals"
    prune: Literal["median", "none"] = "median"
    starts: tuple[StartKind, ...] = Field(default=("corpus", "phrases", "elite"), min_length=1)
    width: Annotated[tuple[_Width, _Width], AfterValidator(_rising)] = (24, 48)
    hot: Annotated[tuple[_Heat, _Heat], AfterValidator(_rising)] = (0.006, 0.015)
    kick: Annotated[tuple[_Kick, _Kick], AfterValidator(_rising)] = (0, 6)

    def from_elite(self) -> StudySettings:
        """Return settings by which the first climb starts from the best string so far (elite)."""
        rest = [kind for kind in self.starts if kind != "elite"]
        return self.model_copy(update={"starts": ("elite", *rest)})


@dataclass(frozen=True, slots=True)
class ClimbRecord:
    """Record of a climb (annealing run) that ended: its settings, scores and best string.

    Attributes:
        number: the climb's number in its study, from 0.
        params: settings drawn for the climb, by Optuna's parameter names.
        reports: best score at each tenth of the climb's length, as far as it came.
        began, over: times of its start and end, in seconds since 1970.
    """

    number: int
    params: dict[str, Any]
    reports: tuple[float, ...]
    ended: Literal["complete", "pruned"]
    text: str
    score: float
    evaluations: int
    began: float
    over: float

    def trial(self, settings: StudySettings) -> FrozenTrial:
        """Convert this record of an ended climb to a finished trial of an Optuna study."""
        space: dict[str, BaseDistribution] = {
            "start": CategoricalDistribution(settings.starts),
            "kick": IntDistribution(*settings.kick),
            "order": FloatDistribution(*_ORDER, log=True),
            "phrase": FloatDistribution(*_PHRASE, log=True),
            "width": IntDistribution(*settings.width),
            "hot": FloatDistribution(*settings.hot, log=True),
        }
        state = TrialState.COMPLETE if self.ended == "complete" else TrialState.PRUNED
        trial = optuna.trial.create_trial(
            state=state,
            value=self.score,
            params=self.params,
            distributions={name: space[name] for name in self.params},
            intermediate_values=dict(enumerate(self.reports, 1)),
            user_attrs={name: getattr(self, name) for name in _ATTRIBUTES},
        )
        trial.datetime_start = datetime.fromtimestamp(self.began)  # noqa: DTZ006 - Optuna's way
        trial.datetime_complete = datetime.fromtimestamp(self.over)  # noqa: DTZ006
        return trial

    @classmethod
    def of_trial(cls, trial: FrozenTrial) -> Self | None:
        """Rebuild a record from an Optuna trial; ``None`` if it was not made by :meth:`trial`."""
        climb = trial.user_attrs
        if not climb.keys() >= set(_ATTRIBUTES):
            return None
        assert trial.value is not None
        assert trial.datetime_start is not None
        assert trial.datetime_complete is not None
        return cls(
            **{name: climb[name] for name in _ATTRIBUTES},
            params=trial.params,
            reports=tuple(value for _, value in sorted(trial.intermediate_values.items())),
            ended="complete" if trial.state == TrialState.COMPLETE else "pruned",
            score=trial.value,
            began=trial.datetime_start.timestamp(),
            over=trial.datetime_complete.timestamp(),
        )


class Sampling:
    """Draws settings of climbs with Optuna, and decides which climbs to end early."""

    def __init__(self, settings: StudySettings, base: ClimbSettings, *, seed: int) -> None:
        self._settings = settings
        self._base = base
        self._seed = seed
        # Optuna announces every study on standard error; the run has a display of its own.
        optuna.logging.set_verbosity(optuna.logging.WARNING)

    def rng(self, number: int, *, stage: int = 0) -> np.random.Generator:
        """Return the random generator of a climb, by its number, or of one stage of the climb."""
        key = [self._seed, number, 0]
        return np.random.default_rng([*key, 2, stage] if stage else key)

    def draw(self, number: int, ended: Sequence[ClimbRecord]) -> dict[str, Any]:
        """Draw a climb's parameters with Optuna, from the climb's number and the ended climbs."""
        [seed] = np.random.SeedSequence([self._seed, number, 0, 1]).generate_state(1)
        sampler = optuna.samplers.TPESampler(seed=int(seed), constant_liar=False)
        trial = self._study(ended, sampler).ask()
        kind = trial.suggest_categorical("start", list(self._settings.starts))
        if kind == "elite":
            trial.suggest_int("kick", *self._settings.kick)
        trial.suggest_float("order", *_ORDER, log=True)
        trial.suggest_float("phrase", *_PHRASE, log=True)
        trial.suggest_int("width", *self._settings.width)
        trial.suggest_float("hot", *self._settings.hot, log=True)
        return trial.params

    def is_hopeless(self, reports: Sequence[float], ended: Sequence[ClimbRecord]) -> bool:
        """Return whether to end a climb: it scores below half of the ended ones at this point."""
        if self._settings.prune == "none" or len(reports) < PRUNE_FROM:
            return False
        pruner = optuna.pruners.MedianPruner(_PRUNE_AFTER, n_warmup_steps=PRUNE_FROM)
        running = optuna.trial.create_trial(
            state=TrialState.RUNNING, intermediate_values=dict(enumerate(reports, 1))
        )
        return bool(pruner.prune(self._study(ended), running))

    def settings(self, params: dict[str, Any]) -> ClimbSettings:
        """Return a climb's settings: the base settings with the climb's Optuna parameters."""
        if "width" not in params:
            return self._base
        varied = self._base.moves.model_dump() | {
            "swap": params["order"] / 2,
            "move": params["order"] / 2,
            "phrase_in": params["phrase"] / 2,
            "phrase_for_span": params["phrase"] / 2,
        }
        drawn = {"width": params["width"], "hot": params["hot"], "moves": MoveMix(**varied)}
        return self._base.model_copy(update=drawn)

    def _study(
        self, ended: Sequence[ClimbRecord], sampler: optuna.samplers.BaseSampler | None = None
    ) -> optuna.Study:
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials([record.trial(self._settings) for record in ended[-_RECENT:]])
        return study
