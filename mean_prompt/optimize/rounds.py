"""Rounds of competing climbs (annealing runs), and the share of the budget that each has spent.

The climbs of a round begin one after another; the one that is ahead halfway continues alone. A
climb's score halfway predicts most of its final score, and hardly depends on how slowly it was
reached (successive halving, Jamieson and Talwalkar 2016).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

from mean_prompt.optimize.climb import Climb, Step
from mean_prompt.optimize.evaluator import Candidate
from mean_prompt.optimize.starts import StartKind
from mean_prompt.system import State

Ending = Literal["complete", "pruned", "stopped"]

#: Share of a climb's length up to which it runs among its rivals; all but the best end there.
HALFWAY: Final = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Milestone:
    """The best string of climb number ``trial`` after ``number`` tenths of the climb's length."""

    trial: int
    number: int
    best: Candidate


@dataclass(frozen=True, slots=True, eq=False)
class StudyEvent:
    """Report of one step of one climb, yielded by a study after the step.

    Attributes:
        trial: number of the climb, for which ``evaluations`` strings were encoded so far.
        params: settings drawn for the climb, by Optuna's parameter names.
        milestones: reached since the last event, by this climb or a rival that waits.
        ended: how the climb ended, at its last event, else ``None``. ``stopped`` is the end of
            the process and not of the climb, which can continue in another.
    """

    trial: int
    params: dict[str, Any]
    evaluations: int
    step: Step
    milestones: tuple[Milestone, ...] = ()
    ended: Ending | None = None

    @property
    def start(self) -> StartKind:
        """Kind of start string that the climb began with."""
        kind: StartKind = self.params["start"]
        return kind


@dataclass(frozen=True, slots=True)
class BudgetReading:
    """Snapshot of the budget: the fraction spent, and whether an early end was asked for."""

    fraction: float
    stopped: bool

    @property
    def expired(self) -> bool:
        """Whether the budget is spent or an early end was asked for, so that no step may start."""
        return self.stopped or self.fraction >= 1.0


@dataclass(slots=True, eq=False)
class ClimbRun:
    """A climb in a round, with its settings, scores and the share of the budget that it has spent.

    Attributes:
        climb: the climb; ``None`` once it ended.
        began: when it began, in seconds since 1970.
        since: fraction of the budget at which it was last resumed, ``None`` while it waits.
        spent: share of the budget that it took before ``since``.
        reports: best score at each tenth of its length.
        hopeless: whether it was behind most other climbs, and is to be ended.
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
        """The annealing run itself, which must not have ended."""
        assert self.climb is not None
        return self.climb

    def progress(self, length: float, reading: BudgetReading) -> float:
        """Return the share of the climb's length that is over; 1 once the budget is spent."""
        if reading.expired:
            return 1.0
        running = 0.0 if self.since is None else reading.fraction - self.since
        return (self.spent + running) / length

    def resume(self, reading: BudgetReading) -> None:
        """Start counting spent budget towards this climb's share."""
        if self.since is None:
            self.since = reading.fraction

    def pause(self, reading: BudgetReading) -> None:
        """Stop counting spent budget towards this climb's share."""
        if self.since is not None:
            self.spent += reading.fraction - self.since
            self.since = None

    def state(self) -> State:
        """Return the climb, its settings and its progress for a checkpoint."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        climb = None if self.climb is None else self.climb.state()
        return parts | {"climb": climb, "reports": list(self.reports)}


@dataclass(slots=True, eq=False)
class Round:
    """Competing climbs (annealing runs): each runs to halfway in turn, the best one to its end.

    Attributes:
        size: number of climbs of the round, of which ``runs`` have begun.
        length: length of one climb, as a share of the budget.
        ahead: index of the climb that continues, once it is known.
    """

    size: int
    length: float
    runs: list[ClimbRun] = field(default_factory=list)
    ahead: int | None = None

    def rescale(self, factor: float) -> None:
        """Multiply all shares of the budget by a factor, after the budget has changed."""
        self.length *= factor
        for run in self.runs:
            run.spent *= factor
            run.since = run.since and run.since * factor

    def active(self) -> ClimbRun | None:
        """Return the climb to take the next step, or ``None`` before the first has begun."""
        if self.ahead is not None:
            return self.runs[self.ahead]
        return self.runs[-1] if self.runs else None

    def may_run(self, run: ClimbRun, reading: BudgetReading, until: float) -> bool:
        """Return whether a climb is not hopeless and less than a share of its length is over."""
        return not run.hopeless and run.progress(self.length, reading) < until

    def state(self) -> State:
        """Return the round's climbs and their length for a checkpoint."""
        return {
            "size": self.size,
            "length": self.length,
            "runs": [run.state() for run in self.runs],
            "ahead": self.ahead,
        }
