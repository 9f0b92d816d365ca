"""Climbs on their way: one climb's own time, and rounds of rivals of which one goes on.

A round lets its climbs begin one after another; the one that is ahead halfway goes on alone. Where
a climb stands halfway says most of where it will end, and hardly depends on how slowly it got
there (successive halving, Jamieson and Talwalkar 2016).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from mean_prompt.optimize.climb import Climb, Step
from mean_prompt.optimize.evaluator import Candidate
from mean_prompt.optimize.starts import StartKind
from mean_prompt.system import State

Ending = Literal["complete", "pruned", "stopped"]

#: Share of a climb after which all rivals but the best are given up.
_HALFWAY: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Milestone:
    """A climb at a tenth of its length.

    Attributes:
        trial: number of the climb.
        number: of tenths that are over.
        best: its best string there.
    """

    trial: int
    number: int
    best: Candidate


@dataclass(frozen=True, slots=True, eq=False)
class StudyEvent:
    """One step of one climb, as the study saw it.

    Attributes:
        trial: number of the climb.
        params: what was drawn for it, by Optuna's names.
        evaluations: strings encoded for it so far.
        step: of the climb.
        stages: that climbs reached since the last moment, be it this climb or a rival that waits.
        ended: how, at the climb's last moment, else ``None``. ``stopped`` is the end of the
            process and not of the climb, which can go on in another.
    """

    trial: int
    params: dict[str, Any]
    evaluations: int
    step: Step
    stages: tuple[Milestone, ...] = ()
    ended: Ending | None = None

    @property
    def start(self) -> StartKind:
        """How the climb began."""
        kind: StartKind = self.params["start"]
        return kind


@dataclass(frozen=True, slots=True)
class BudgetReading:
    """What the clock says, once a step.

    Attributes:
        fraction: of the budget that is spent.
        expired: whether no further step may start; ``stopped`` where somebody asked for the end.
    """

    fraction: float
    expired: bool
    stopped: bool


@dataclass(slots=True, eq=False)
class ClimbRun:
    """A climb on its way, and its own time: its share of the budget, counted while it runs.

    Attributes:
        number: of the climb.
        params: what was drawn for it.
        climb: itself; ``None`` once it ended.
        began: when it began, in seconds since 1970.
        since: fraction of the budget at which it was last resumed, ``None`` while it waits.
        spent: what it took of the budget before that.
        evaluations: strings encoded for it.
        reports: best score at each tenth of its length.
        hopeless: whether it was behind most others.
    """

    number: int
    params: dict[str, Any]
    climb: Climb | None
    began: float
    since: float | None
    spent: float = 0.0
    evaluations: int = 0
    reports: list[float] = field(default_factory=list)
    hopeless: bool = False

    @property
    def running(self) -> Climb:
        """The climb, which must not have ended."""
        assert self.climb is not None
        return self.climb

    def progress(self, length: float, reading: BudgetReading) -> float:
        """Return the share of the climb that is over; 1 once the budget is spent."""
        if reading.expired:
            return 1.0
        running = 0.0 if self.since is None else reading.fraction - self.since
        return (self.spent + running) / length

    def resume(self, reading: BudgetReading) -> None:
        """Count its time from now on."""
        if self.since is None:
            self.since = reading.fraction

    def pause(self, reading: BudgetReading) -> None:
        """Count no more of it."""
        if self.since is not None:
            self.spent += reading.fraction - self.since
            self.since = None

    def moment(
        self, step: Step, stages: tuple[Milestone, ...] = (), ended: Ending | None = None
    ) -> StudyEvent:
        """Return the moment that tells of one of its steps."""
        return StudyEvent(self.number, self.params, self.evaluations, step, stages, ended)

    def last_moment(self, ended: Ending, stages: tuple[Milestone, ...] = ()) -> StudyEvent:
        """Return the moment that tells of its end."""
        last = Step(self.running.number, self.running.best, gained=False, move=None)
        return self.moment(last, stages, ended)

    def state(self) -> State:
        """Return all that its rest depends on."""
        return {
            "number": self.number,
            "params": self.params,
            "climb": None if self.climb is None else self.climb.state(),
            "began": self.began,
            "since": self.since,
            "spent": self.spent,
            "evaluations": self.evaluations,
            "reports": self.reports,
            "hopeless": self.hopeless,
        }


@dataclass(slots=True, eq=False)
class Round:
    """Climbs that begin one after another, of which the best goes on alone.

    Attributes:
        rivals: how many begin.
        length: of one climb, as a share of the budget.
        runners: those that have begun.
        ahead: number of the one that goes on, once it is known.
    """

    rivals: int
    length: float
    runners: list[ClimbRun] = field(default_factory=list)
    ahead: int | None = None

    def until(self) -> float:
        """Return the share of its length up to which a climb runs among its rivals."""
        return _HALFWAY if self.rivals > 1 else 1.0

    def rescale(self, factor: float) -> None:
        """Measure all shares in a budget that is another multiple of what was spent."""
        self.length *= factor
        for runner in self.runners:
            runner.spent *= factor
            runner.since = runner.since and runner.since * factor

    def active(self) -> ClimbRun | None:
        """Return the climb whose turn it is."""
        if self.ahead is not None:
            return self.runners[self.ahead]
        return self.runners[-1] if self.runners else None

    def state(self) -> State:
        """Return all that its rest depends on."""
        return {
            "rivals": self.rivals,
            "length": self.length,
            "runners": [runner.state() for runner in self.runners],
            "ahead": self.ahead,
        }


def climbs_in(rivals: int) -> float:
    """Return how many whole climbs a round of so many rivals is worth."""
    return rivals * _HALFWAY + 1.0 - _HALFWAY
