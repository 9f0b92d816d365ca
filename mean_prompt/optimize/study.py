"""An Optuna study over climbs: which start, which step width, which moves, how hot.

Climbs go in rounds of rivals, and each is a trial. The study draws its settings, hears its score
at every tenth of its length, and prunes it where it stays below most earlier ones. It is kept in
SQLite.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
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
#: Share of a climb after which all rivals but the best are given up, and the shortest climb that
#: has rivals, in evaluations: shorter ones do better alone.
_HALFWAY: Final = 0.5
_LEAST_RIVAL: Final = 10_000


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
        climb_evaluations: length of one climb; a budget that is shorter makes one round of it.
        rivals: climbs of a round, of which the best goes on halfway.
        prune: ``median`` ends a climb that is behind half of the earlier ones; ``none`` never.
        starts: kinds of start that may be drawn; the first climb takes the first.
        width: range of the edits proposed a step.
        hot: range of the first temperature, shares of the ceiling.
        kick: range of the random edits to an elite before a climb goes on from it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    climb_evaluations: int = Field(default=75_000, ge=1)
    rivals: int = Field(default=3, ge=1, le=64)
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
        budget = self._evaluator.budget
        first_round, length = self._next_round()
        for _ in range(first_round):
            self._study.enqueue_trial({"start": self._settings.starts[0]})
        yield from self._round(first_round, length, base=True)
        while not budget.expired():
            yield from self._round(*self._next_round())

    def _next_round(self) -> tuple[int, float]:
        """Return how many rivals the next round has, and a climb's length as a share of the budget.

        A round that would leave less than half a round behind it takes all there is.
        """
        left = 1.0 - self._evaluator.budget.fraction()
        length = self._share(self._settings.climb_evaluations)
        least = self._share(min(_LEAST_RIVAL, self._settings.climb_evaluations))
        for rivals in range(self._settings.rivals, 1, -1):
            climbs = _climbs_in(rivals)
            fitted = left / climbs if left < 1.5 * length * climbs else length
            if fitted >= least:
                return rivals, fitted
        return 1, left if left < 1.5 * length else length

    def _round(self, rivals: int, length: float, *, base: bool = False) -> Iterator[Moment]:
        """Let climbs begin side by side, and the one that is ahead halfway go on alone.

        Where a climb stands halfway says most of where it will end, and hardly depends on how
        slowly it got there (successive halving, Jamieson and Talwalkar 2016).
        """
        runners: list[_Runner] = []
        for _ in range(rivals):
            if runners and self._evaluator.budget.expired():
                break
            runners.append(self._enter(self._study.ask(), length, base=base))
            yield from self._advance(runners[-1], _HALFWAY if rivals > 1 else 1.0)
        ahead = max(runners, key=lambda runner: runner.last.best.score)
        for runner in runners:
            if runner is not ahead:
                yield self._end(runner, optuna.trial.TrialState.PRUNED)
        state = yield from self._advance(ahead, 1.0)
        yield self._end(ahead, state)

    def _enter(self, trial: optuna.Trial, length: float, *, base: bool) -> _Runner:
        rng = np.random.default_rng([self._seed, trial.number])
        settings, kind, edits = self._draw(trial, base=base)
        clock = _Clock(self._evaluator.budget, length)
        start = self._start(kind, edits, rng)
        steps = climb(
            start,
            self._material,
            self._evaluator,
            settings,
            ceiling=self._ceiling,
            progress=clock.progress,
            rng=rng,
        )
        return _Runner(trial, kind, clock, steps, Step(0, start, gained=False, move=None))

    def _advance(
        self, runner: _Runner, until: float
    ) -> Generator[Moment, None, optuna.trial.TrialState]:
        """Let one climb go on to a share of its length, and return how it may end there."""
        clock, trial = runner.clock, runner.trial
        clock.resume()
        # A climb at its end has no further step, but must not be asked for one before.
        while clock.progress() < until or runner.last.number == 0:
            step = next(runner.steps, None)
            if step is None:
                break
            runner.last = step
            self.elite = max(self.elite, step.best, key=lambda row: row.score)
            yield Moment(trial.number, runner.kind, step)
            while runner.reported < int(clock.progress() * _REPORTS):
                runner.reported += 1
                trial.report(step.best.score, runner.reported)
            if runner.reported >= _PRUNE_FROM and self._hopeless(trial, step.best):
                return optuna.trial.TrialState.PRUNED
        clock.pause()
        return optuna.trial.TrialState.COMPLETE

    def _end(self, runner: _Runner, state: optuna.trial.TrialState) -> Moment:
        last = runner.last
        self._tell(runner.trial, last.best, state)
        last_step = Step(last.number, last.best, gained=False, move=None)
        return Moment(runner.trial.number, runner.kind, last_step, self._ending(state))

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

    def _draw(self, trial: optuna.Trial, *, base: bool) -> tuple[ClimbSettings, StartKind, int]:
        """Draw a climb's settings, or take the recipe's own as they stand."""
        chosen = self._settings
        kind = cast("StartKind", trial.suggest_categorical("start", list(chosen.starts)))
        if base:
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

    def _share(self, evaluations: int) -> float:
        """Return the share of the budget that so many evaluations take."""
        budget = self._evaluator.budget
        shares = []
        if budget.max_evaluations is not None:
            shares.append(evaluations / budget.max_evaluations)
        if budget.seconds is not None:
            seconds = evaluations / (_EVALUATING_SHARE * self._rate)
            shares.append(seconds / budget.seconds)
        return max(shares)


def _climbs_in(rivals: int) -> float:
    """Return how many whole climbs a round of so many rivals is worth."""
    return rivals * _HALFWAY + 1.0 - _HALFWAY


class _Clock:
    """A climb's own time: its share of the budget, counted while it runs."""

    def __init__(self, budget: Budget, length: float) -> None:
        self._budget = budget
        self._length = length
        self._spent = 0.0
        self._began: float | None = budget.fraction()

    def resume(self) -> None:
        """Count from now on."""
        if self._began is None:
            self._began = self._budget.fraction()

    def pause(self) -> None:
        """Count no more."""
        if self._began is not None:
            self._spent += self._budget.fraction() - self._began
            self._began = None

    def progress(self) -> float:
        """Return the share of the climb that is over; 1 once the budget is spent."""
        if self._budget.expired():
            return 1.0
        running = 0.0 if self._began is None else self._budget.fraction() - self._began
        return (self._spent + running) / self._length


@dataclass(slots=True, eq=False)
class _Runner:
    """A climb on its way."""

    trial: optuna.Trial
    kind: StartKind
    clock: _Clock
    steps: Iterator[Step]
    last: Step
    reported: int = 0


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
