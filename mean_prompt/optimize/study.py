"""An Optuna study over climbs: which start, which step width, which moves, how hot.

Each trial is one climb. The study draws its settings, hears its score at every tenth of its
length, and prunes it where it stays below most earlier ones. It is kept in SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar, cast

import numpy as np
import optuna
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.climb import ClimbSettings, Step, climb
from mean_prompt.optimize.evaluator import Candidate, Evaluator
from mean_prompt.optimize.material import Material
from mean_prompt.optimize.moves import MoveMix
from mean_prompt.optimize.starts import StartKind, assembled_start, filled_start, kicked

Ending = Literal["complete", "pruned", "stopped"]

STUDY_NAME: Final = "mean-prompt"
#: Reports a climb, evenly over its length.
_REPORTS: Final = 10
#: Climbs that must have ended before one is pruned, and the share of a climb that none is.
_PRUNE_AFTER: Final = 3
_PRUNE_FROM: Final = 4
#: Best prompts of the corpus, one of which a climb begins with.
_FIRST_STARTS: Final = 5
#: Share of a climb's time that goes into evaluations; the rest into choosing what to evaluate.
_EVALUATING_SHARE: Final = 0.4


_Bound = TypeVar("_Bound", int, float)


def _rising(bounds: tuple[_Bound, _Bound]) -> tuple[_Bound, _Bound]:
    if bounds[0] > bounds[1]:
        raise ValueError(f"a range goes from its lowest to its highest value: found {bounds}")
    return bounds


_Width = Annotated[int, Field(ge=1, le=4096)]
_Heat = Annotated[float, Field(gt=0, le=1)]
_Kick = Annotated[int, Field(ge=0)]


class StudySettings(BaseModel):
    """How the study divides a budget and what it varies.

    Attributes:
        climb_evaluations: length of one climb; a budget that is shorter makes one climb of it.
        prune: ``median`` ends a climb that is behind half of the earlier ones; ``none`` never.
        starts: kinds of start that may be drawn; the first climb takes the first.
        width: range of the edits proposed a step.
        hot: range of the first temperature, shares of the ceiling.
        kick: range of the random edits to an elite before a climb goes on from it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    climb_evaluations: int = Field(default=150_000, ge=1)
    prune: Literal["median", "none"] = "median"
    starts: tuple[StartKind, ...] = Field(default=("corpus", "phrases", "elite"), min_length=1)
    width: Annotated[tuple[_Width, _Width], AfterValidator(_rising)] = (24, 48)
    hot: Annotated[tuple[_Heat, _Heat], AfterValidator(_rising)] = (0.006, 0.015)
    kick: Annotated[tuple[_Kick, _Kick], AfterValidator(_rising)] = (0, 6)

    def from_elite(self) -> StudySettings:
        """Return the settings whose first climb goes on from the elite, as it stands."""
        rest = [kind for kind in self.starts if kind != "elite"]
        return self.model_copy(update={"starts": ("elite", *rest)})


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One step of one climb, as the study saw it.

    Attributes:
        trial: number of the climb.
        start: kind of its start.
        step: of the climb.
        ended: how, at the climb's last moment, else ``None``.
    """

    trial: int
    start: StartKind
    step: Step
    ended: Ending | None = None


class ClimbStudy:
    """Runs climbs one after another until the budget is spent.

    Args:
        settings: what to vary.
        base: settings of a climb that the study does not vary.
        starts: corpus starts, best first.
        material: what edits may put in.
        evaluator: scores strings; its budget is the run's.
        ceiling: of the objective.
        rate: strings screened a second at the token limit, as measured.
        seed: of everything random here.
        storage: file of the study; in memory when left out.
    """

    def __init__(
        self,
        settings: StudySettings,
        base: ClimbSettings,
        starts: list[Candidate],
        material: Material,
        evaluator: Evaluator,
        *,
        ceiling: float,
        rate: float,
        seed: int,
        storage: Path | None = None,
    ) -> None:
        self._settings = settings
        self._base = base
        self._starts = starts
        self._material = material
        self._evaluator = evaluator
        self._ceiling = ceiling
        self._rate = rate
        self._seed = seed
        self._study = _create(storage, seed, settings)
        self.elite = max(starts, key=lambda row: row.score)

    def run(self) -> Iterator[Moment]:
        """Yield every step of every climb; ``elite`` is the best string at any time."""
        self._study.enqueue_trial({"start": self._settings.starts[0]})
        while not self._evaluator.budget.expired():
            yield from self._one_climb(self._study.ask())

    def _one_climb(self, trial: optuna.Trial) -> Iterator[Moment]:
        rng = np.random.default_rng([self._seed, trial.number])
        settings, kind, edits = self._draw(trial)
        start = self._start(kind, edits, rng)
        progress = self._progress(self._evaluator.budget)
        reported = 0
        state = optuna.trial.TrialState.COMPLETE
        last = start
        number = trial.number
        for step in climb(
            start,
            self._material,
            self._evaluator,
            settings,
            ceiling=self._ceiling,
            progress=progress,
            rng=rng,
        ):
            last = step.best
            self.elite = max(self.elite, last, key=lambda row: row.score)
            yield Moment(number, kind, step)
            while reported < int(progress() * _REPORTS):
                reported += 1
                trial.report(last.score, reported)
            if reported >= _PRUNE_FROM and self._hopeless(trial, last):
                state = optuna.trial.TrialState.PRUNED
                break
        self._tell(trial, last, state)
        last_step = Step(step.number, last, gained=False, move=None)
        yield Moment(number, kind, last_step, self._ending(state))

    def _ending(self, state: optuna.trial.TrialState) -> Ending:
        if state == optuna.trial.TrialState.PRUNED:
            return "pruned"
        return "stopped" if self._evaluator.budget.stopped else "complete"

    def _hopeless(self, trial: optuna.Trial, best: Candidate) -> bool:
        return best.score < self.elite.score and trial.should_prune()

    def _tell(self, trial: optuna.Trial, best: Candidate, state: optuna.trial.TrialState) -> None:
        trial.set_user_attr("best", {"text": best.text, "score": best.score})
        # Optuna takes a pruned trial's value from its last report.
        value = best.score if state == optuna.trial.TrialState.COMPLETE else None
        self._study.tell(trial, value, state=state)

    def _draw(self, trial: optuna.Trial) -> tuple[ClimbSettings, StartKind, int]:
        """Draw a climb's settings; the first climb is the recipe's own, as it stands."""
        chosen = self._settings
        kind = cast("StartKind", trial.suggest_categorical("start", list(chosen.starts)))
        if trial.number == 0:
            return self._base, kind, 0
        edits = trial.suggest_int("kick", *chosen.kick) if kind == "elite" else 0
        moves = self._base.moves
        order = trial.suggest_float("order", 0.02, 0.2, log=True)
        phrase = trial.suggest_float("phrase", 0.01, 0.2, log=True)
        varied = moves.model_dump() | {
            "swap": order / 2,
            "move": order / 2,
            "phrase_in": phrase / 2,
            "phrase_for_span": phrase / 2,
        }
        settings = self._base.model_copy(
            update={
                "width": trial.suggest_int("width", *chosen.width),
                "hot": trial.suggest_float("hot", *chosen.hot, log=True),
                "moves": MoveMix(**varied),
            }
        )
        return settings, kind, edits

    def _start(self, kind: StartKind, edits: int, rng: np.random.Generator) -> Candidate:
        if kind == "elite":
            return kicked(self.elite, self._material, self._evaluator, edits, rng)
        if kind == "phrases":
            assembled = assembled_start(self._material, self._evaluator, rng)
            if assembled is not None:
                return assembled
        first = int(rng.integers(min(_FIRST_STARTS, len(self._starts))))
        return filled_start(self._starts[first:], self._evaluator, rng)

    def _progress(self, budget: Budget) -> Callable[[], float]:
        """Return the clock of the next climb: its share of the budget, from 0 to 1.

        A climb that would leave less than half a climb behind it takes all there is.
        """
        first = budget.fraction()
        length = self._share(budget)
        if 1.0 - first < 1.5 * length:
            length = 1.0 - first
        return lambda: 1.0 if budget.expired() else (budget.fraction() - first) / length

    def _share(self, budget: Budget) -> float:
        """Return the share of the budget that one climb takes."""
        evaluations = self._settings.climb_evaluations
        shares = []
        if budget.max_evaluations is not None:
            shares.append(evaluations / budget.max_evaluations)
        if budget.seconds is not None:
            seconds = evaluations / (_EVALUATING_SHARE * self._rate)
            shares.append(seconds / budget.seconds)
        return max(shares)


def _create(storage: Path | None, seed: int, settings: StudySettings) -> optuna.Study:
    # Optuna announces every study and trial on standard error; the run has a display of its own.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if settings.prune == "median":
        pruner = optuna.pruners.MedianPruner(
            n_startup_trials=_PRUNE_AFTER, n_warmup_steps=_PRUNE_FROM
        )
    return optuna.create_study(
        study_name=STUDY_NAME,
        storage=f"sqlite:///{storage.resolve()}" if storage else None,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=pruner,
    )
