"""A study: climbs (annealing runs) one after another and side by side, tuned by Optuna.

Optuna draws each climb's settings, receives its score at every tenth of its length, and ends it if
it stays below most earlier ones. Climbers compute, a couple of seconds at a time; in between,
climbs that run side by side may adopt strings from each other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field, replace
from typing import Any, Final, Literal, Protocol, Self

import numpy as np

from mean_prompt.optimize.budget import Budget, Limits
from mean_prompt.optimize.climb import ClimbSettings, Step
from mean_prompt.optimize.climber import ClimbOrder, ClimbReport, Pace
from mean_prompt.optimize.evaluator import Candidate
from mean_prompt.optimize.exchange import EXCHANGES, Adoption, Standing
from mean_prompt.optimize.sampling import (
    PRUNE_FROM,
    REPORTS,
    ClimbRecord,
    Sampling,
    StudySettings,
)
from mean_prompt.optimize.starts import StartKind
from mean_prompt.system import State, Team

#: Name under which a team's members hold their climber.
CLIMBER: Final = "climber"
#: Share of a climb's time that goes into evaluations; the rest into choosing what to evaluate.
_EVALUATING_SHARE: Final = 0.4
#: Evaluations of a climber's first climb, by how much each next one is longer, and how much longer
#: than planned one may be that takes all that is left.
_FIRST_CLIMB: Final = 2_500
_GROWTH: Final = 3
_TAKE_ALL: Final = 2.5
#: Climbs of each climber by the settings as given; the study draws those of the others.
_AS_GIVEN: Final = 2
#: Seconds that a climber in another process climbs before it reports, and that the study waits for
#: reports beyond the end of its budget.
_ADVANCE: Final = 2.0
_CLOSING: Final = 0.5
#: Seconds that a call that takes no climbing should take.
_SHORT: Final = 2.0

Ending = Literal["complete", "pruned", "stopped"]


@dataclass(frozen=True, slots=True, eq=False)
class Milestone:
    """The best string of climb number ``trial`` after ``number`` tenths of the climb's length."""

    trial: int
    number: int
    best: Candidate


@dataclass(frozen=True, slots=True, eq=False)
class StudyEvent:
    """What a study reports after a climb's report.

    Attributes:
        trial: number of the climb, for which ``evaluations`` strings were encoded so far.
        params: settings drawn for the climb, by Optuna's parameter names.
        milestones: reached since the last event, by this climb or another one.
        ended: how the climb ended, at its last event, else ``None``. ``stopped`` is the end of
            the process and not of the climb, which can continue in another.
        lost: a line for the user if a climber was lost and replaced, else ``None``.
    """

    trial: int
    params: dict[str, Any]
    evaluations: int
    step: Step
    milestones: tuple[Milestone, ...] = ()
    ended: Ending | None = None
    lost: str | None = None

    @property
    def start(self) -> StartKind:
        """Kind of start string that the climb began with."""
        kind: StartKind = self.params["start"]
        return kind


class RecordBoard(Protocol):
    """Keeps the records of climbs that ended."""

    def add(self, record: ClimbRecord) -> None:
        """Store the record of an ended climb; storing it twice changes nothing."""

    def ended(self) -> list[ClimbRecord]:
        """Return the records of the ended climbs, in the order in which they ended."""


class MemoryBoard:
    """Keeps the records of ended climbs in memory."""

    def __init__(self) -> None:
        self._ended: dict[int, ClimbRecord] = {}

    def add(self, record: ClimbRecord) -> None:
        """Store the record of an ended climb; storing it twice changes nothing."""
        self._ended.setdefault(record.number, record)

    def ended(self) -> list[ClimbRecord]:
        """Return the records of the ended climbs, in the order in which they ended."""
        return list(self._ended.values())


@dataclass(frozen=True, slots=True)
class _Reading:
    """The budget at one moment: the share spent, and whether an early end was asked for."""

    fraction: float
    stopped: bool

    @property
    def expired(self) -> bool:
        return self.stopped or self.fraction >= 1.0


@dataclass(slots=True, eq=False)
class _Run:
    """A climb that runs, as far as its study knows.

    Attributes:
        since: share of the budget that was spent when it began.
        length: its length, as a share of the budget.
        began: when it began, in seconds since 1970.
        best: its best string, ``None`` until the climber's first report.
        reports: its best score at each tenth of its length.
        hopeless: whether it was behind most other climbs, and is to be ended.
        saved: its state as last reported by a climber in another process, packed; ``None``
            before.
        is_held: whether its climber has begun or resumed it.
        standing: where it stood at its last report.
        adoption: what it is to adopt next.
        step_seconds: time that one of its steps takes.
    """

    number: int
    params: dict[str, Any]
    since: float
    length: float
    began: float
    best: Candidate | None = None
    steps: int = 0
    evaluations: int = 0
    reports: list[float] = field(default_factory=list)
    hopeless: bool = False
    saved: bytes | None = None
    is_held: bool = False
    standing: Standing | None = None
    adoption: Adoption | None = None
    step_seconds: float = 0.0

    _KEPT = ("number", "params", "since", "length", "began", "steps", "evaluations", "hopeless")

    def progress(self, reading: _Reading) -> float:
        """Return the share of the climb's length that is over; 1 once the budget is spent."""
        if reading.expired:
            return 1.0
        return (reading.fraction - self.since) / self.length

    def state(self, climb: bytes | None) -> State:
        packed = None if climb is None else np.frombuffer(bytearray(climb), np.uint8)
        kept = {name: getattr(self, name) for name in self._KEPT}
        best = None if self.best is None else self.best.state()
        return kept | {"reports": list(self.reports), "best": best, "climb": packed}

    @classmethod
    def of_state(cls, state: State) -> Self:
        best = None if state["best"] is None else Candidate.of_state(state["best"])
        rest = {name: value for name, value in state.items() if name not in {"best", "climb"}}
        packed = state["climb"]
        saved = None if packed is None else packed.numpy().tobytes()
        return cls(**rest, best=best, saved=saved)


class ClimbStudy:
    """Runs climbs (each an annealing of one string) on a team of climbers, within a budget.

    Args:
        base: settings of a climb that the study does not vary.
        elite: the best string that is known, a start.
        team: its members hold a :class:`~mean_prompt.optimize.climber.Climber` each.
        rate: strings that one climber screens a second at the token limit, about.
        seed: of all random draws, together with the climb's number.
        board: stores the climbs that ended; the default is in memory.

    Attributes:
        elite: the best string so far.
        climbs: number of climbs begun.
    """

    def __init__(
        self,
        settings: StudySettings,
        base: ClimbSettings,
        elite: Candidate,
        team: Team,
        *,
        budget: Budget,
        rate: float,
        seed: int,
        board: RecordBoard | None = None,
    ) -> None:
        self._settings = settings
        self._team = team
        self._budget = budget
        self._rate = rate
        self._board = board or MemoryBoard()
        self._sampling = Sampling(settings, base, seed=seed)
        self._exchange = EXCHANGES[settings.exchange]()
        #: The climbs that run, by the number of their climber; and those whose climber is gone.
        self._runs: list[_Run | None] = [None] * team.size
        self._orphans: list[_Run] = []
        self._overs: list[int | None] = [None] * team.size
        #: Climbs that each climber has begun.
        self._begun = [0] * team.size
        #: Milestones reached since the last event; always empty between two events.
        self._milestones: list[Milestone] = []
        self._limits = budget.limits
        # Until a climber has reported how long a step takes.
        self._step_seconds = base.width / (_EVALUATING_SHARE * rate)
        self.climbs = 0
        self.elite = elite

    def run(self) -> Iterator[StudyEvent]:
        """Run climbs until the budget is spent or an end is asked for, yielding at every report."""
        closed = math.inf
        while not (reading := self._read()).stopped and time.monotonic() < closed:
            for slot in self._team.idle():
                yield from self._direct(slot)
            if len(self._team.idle()) == self._team.size:
                break
            if reading.expired:
                closed = min(closed, time.monotonic() + _CLOSING)
            yield from self._replies()
        self._team.dismiss()
        for run in [*filter(None, self._runs), *self._orphans]:
            if run.best is not None:
                yield self._event(run, None, "stopped") if reading.stopped else self._end(run)

    def state(self) -> State:
        """Return the study's progress for a checkpoint, without its constructor's arguments."""
        runs = [(slot, run) for slot, run in enumerate(self._runs) if run is not None]
        return {
            "number": self.climbs,
            "elite": self.elite.state(),
            "limits": list(astuple(self._limits)),
            "begun": list(self._begun),
            "runs": [run.state(self._climb_state(slot, run)) for slot, run in runs]
            + [run.state(run.saved) for run in self._orphans],
        }

    def restore(self, state: State) -> None:
        """Restore the :meth:`state` of a study made with the same arguments."""
        self.climbs = state["number"]
        self.elite = Candidate.of_state(state["elite"])
        self._limits = Limits(*state["limits"])
        self._orphans = [_Run.of_state(run) for run in state["runs"]]
        # A climb that goes on is counted again when a climber takes it.
        mean = (sum(state["begun"]) - len(self._orphans)) // len(state["begun"])
        self._begun = [max(0, mean)] * self._team.size

    def _climb_state(self, slot: int, run: _Run) -> bytes | None:
        if self._team.is_here and run.is_held:
            packed: bytes = self._team.ask(slot, CLIMBER, "state", run.number)
            return packed
        return run.saved

    def _read(self) -> _Reading:
        """Return the budget spent so far; rescale the climbs' shares if its limits have changed."""
        budget, limits = self._budget, self._budget.limits
        elapsed, evaluations = budget.elapsed, budget.evaluations
        fraction = limits.fraction(elapsed, evaluations)
        if limits != self._limits:
            before = self._limits.fraction(elapsed, evaluations)
            if before > 0:
                for run in [*filter(None, self._runs), *self._orphans]:
                    run.since *= fraction / before
                    run.length *= fraction / before
            self._limits = limits
        return _Reading(fraction, budget.stopped)

    def _direct(self, slot: int) -> Iterator[StudyEvent]:
        """Let an idle climber begin, resume or climb on, or adopt a string; end its climb."""
        run, reading = self._runs[slot], self._read()
        if run is not None:
            tenth = self._report(run, reading)
            self._meet(run, tenth)
            if run.hopeless or run.progress(reading) >= 1.0:
                self._runs[slot], self._overs[slot] = None, run.number
                yield self._end(run)
                run, reading = None, self._read()
        if run is None:
            if (reading.expired and self.climbs) or reading.stopped:
                return
            run = self._runs[slot] = self._resumed(slot) or self._new(slot, reading)
        if not run.is_held:
            self._hold(slot, run)
        elif run.adoption is not None:
            self._team.call(slot, CLIMBER, "adopt", run.number, run.adoption, seconds=_SHORT)
            run.adoption = None
        else:
            self._advance(slot, run, reading)

    def _replies(self) -> Iterator[StudyEvent]:
        for reply in self._team.replies(_CLOSING / 2):
            if reply.lost is None:
                yield self._take(reply.member, reply.value)
            else:
                yield self._replace(reply.member, reply.lost)

    def _resumed(self, slot: int) -> _Run | None:
        """Return a climb that waits for a climber, or ``None`` if none does."""
        if not self._orphans:
            return None
        self._begun[slot] += 1
        return self._orphans.pop(0)

    def _new(self, slot: int, reading: _Reading) -> _Run:
        """Return a new climb; Optuna draws its settings after each climber's first climbs."""
        number = self.climbs
        self.climbs += 1
        if number < _AS_GIVEN * self._team.size:
            params: dict[str, Any] = {"start": self._settings.starts[0]}
        else:
            params = self._sampling.draw(number, self._board.ended())
        length = self._length(1.0 - reading.fraction, self._begun[slot])
        self._begun[slot] += 1
        return _Run(number, params, reading.fraction, length, time.time())

    def _length(self, left: float, before: int) -> float:
        """Return the length of a climber's next climb, as a share of the budget.

        A climb of three times the evaluations ends about 0.01 of the ceiling higher, but only as it
        cools at its end. So the first climb is short and each next one thrice as long, until the
        longest; what would be left after a climb is added to it if it is not much longer.
        """
        grown = min(_FIRST_CLIMB * _GROWTH**before, self._settings.climb_evaluations)
        length = self._share(int(grown))
        return max(left, 1e-9) if left < _TAKE_ALL * length else length

    def _share(self, evaluations: int) -> float:
        """Return the share of the budget in which one climber makes a number of evaluations."""
        per_second, per_evaluation = self._limits.pace()
        seconds = evaluations / (_EVALUATING_SHARE * self._rate)
        return max(seconds * per_second, evaluations * self._team.size * per_evaluation)

    def _hold(self, slot: int, run: _Run) -> None:
        heat = self._exchange.heat(slot, self._team.size)
        order = ClimbOrder(run.number, run.params, self.elite, heat, self._overs[slot])
        run.is_held, self._overs[slot] = True, None
        seconds = max(_SHORT, 2 * self._step_seconds)
        if run.saved is None:
            self._team.call(slot, CLIMBER, "begin", order, seconds=seconds)
        else:
            self._team.call(slot, CLIMBER, "resume", order, run.saved, seconds=seconds)

    def _advance(self, slot: int, run: _Run, reading: _Reading) -> None:
        per_second, per_evaluation = self._limits.pace()
        pace = Pace(
            run.progress(reading),
            per_second / run.length,
            per_evaluation / run.length * self._team.size,
        )
        if self._team.is_here:
            self._team.call(slot, CLIMBER, "advance", run.number, pace)
            return
        # A step may take longer than the seconds asked for, and thrice as long as it usually does.
        seconds = max(_ADVANCE, 3 * (run.step_seconds or self._step_seconds))
        # The first step is reported at once, so that a first improvement is not kept waiting.
        arguments = (run.number, pace, _ADVANCE if run.steps else 0.0, True)
        self._team.call(slot, CLIMBER, "advance", *arguments, seconds=seconds)

    def _take(self, slot: int, report: ClimbReport) -> StudyEvent:
        """Take note of a climber's report."""
        run, reading = self._runs[slot], self._read()
        assert run is not None
        self._budget.spend(report.evaluations)
        run.evaluations += report.evaluations
        if run.best is None:
            self._milestones.append(Milestone(run.number, 0, report.step.best))
        run.best, run.steps = report.step.best, report.step.number
        if report.steps:
            run.step_seconds = report.seconds / report.steps
        if report.state is not None:
            run.saved = report.state
        run.standing = Standing(
            slot,
            run.progress(reading),
            None,
            report.temperature,
            run.best.body,
            run.best.score,
            report.current,
            report.current_score,
        )
        return self._event(run, report.step)

    def _replace(self, slot: int, why: str) -> StudyEvent:
        """Replace a lost climber; its climb continues from what was last heard of it."""
        self._team.replace(slot)
        run = self._runs[slot]
        assert run is not None
        run.is_held, self._overs[slot] = False, None
        best = run.best or self.elite
        lost = f"climber {slot + 1} {why}: another one continues its climb"
        return StudyEvent(run.number, run.params, run.evaluations, Step(run.steps, best), lost=lost)

    def _event(self, run: _Run, step: Step | None, ended: Ending | None = None) -> StudyEvent:
        assert run.best is not None
        step = step or Step(run.steps, run.best)
        milestones, self._milestones = tuple(self._milestones), []
        self.elite = max(self.elite, step.best, key=lambda row: row.score)
        return StudyEvent(run.number, run.params, run.evaluations, step, milestones, ended)

    def _report(self, run: _Run, reading: _Reading) -> int | None:
        """Record a climb's score at each tenth of its length; return the tenth if one is reached.

        A climb that is behind most others is found to be hopeless.
        """
        if run.best is None:
            return None
        reached = min(REPORTS, int(run.progress(reading) * REPORTS))
        new = range(len(run.reports) + 1, reached + 1)
        if not new:
            return None
        run.reports += [run.best.score] * len(new)
        self._milestones.append(Milestone(run.number, reached, run.best))
        if len(run.reports) >= PRUNE_FROM and run.best.score < self.elite.score:
            run.hopeless = self._sampling.is_hopeless(run.reports, self._board.ended())
        return reached

    def _meet(self, run: _Run, tenth: int | None) -> None:
        """Let a climb that has reported meet the others, and note what they are to adopt."""
        others = [other for other in self._runs if other is not run and other is not None]
        standings = [other.standing for other in others if other.standing is not None]
        if run.standing is None or not standings:
            return
        rng = self._sampling.rng(run.number, stage=run.steps + 1)
        adoptions = self._exchange.meet(replace(run.standing, tenth=tenth), standings, rng)
        for slot, adoption in adoptions.items():
            adopting = self._runs[slot]
            assert adopting is not None
            adopting.adoption = adoption

    def _end(self, run: _Run) -> StudyEvent:
        ended: Literal["complete", "pruned"] = "pruned" if run.hopeless else "complete"
        event = self._event(run, None, ended)
        best = event.step.best
        self._board.add(
            ClimbRecord(
                number=run.number,
                params=run.params,
                reports=tuple(run.reports),
                ended=ended,
                text=best.text,
                score=best.score,
                evaluations=run.evaluations,
                began=run.began,
                over=time.time(),
            )
        )
        return event
