"""A study over climbs: which start, which step width, which moves, how hot.

Climbs go in rounds of rivals. Optuna draws each climb's settings, hears its score at every tenth of
its length, and ends it where it stays below most earlier ones.

All that a study is going by can be taken down as a state between any two of its steps, and
restored in another process. It reads the clock once a step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import astuple
from typing import Any, Final, Literal

import numpy as np

from mean_prompt.optimize.board import Alone, Mark, ResultBoard
from mean_prompt.optimize.budget import Limits
from mean_prompt.optimize.climb import Climb, ClimbSettings, Step
from mean_prompt.optimize.evaluator import Candidate, Evaluator
from mean_prompt.optimize.rounds import (
    BudgetReading,
    ClimbRun,
    Milestone,
    Round,
    StudyEvent,
    climbs_in,
)
from mean_prompt.optimize.sampling import (
    PRUNE_FROM,
    REPORTS,
    ClimbRecord,
    Sampling,
    StudySettings,
)
from mean_prompt.optimize.starts import StartKind, assembled_start, filled_start, kicked
from mean_prompt.optimize.vocabulary import Vocabulary
from mean_prompt.system import State

#: Best prompts of the corpus, one of which a climb begins with.
_FIRST_STARTS: Final = 5
#: Share of a climb's time that goes into evaluations; the rest into choosing what to evaluate.
_EVALUATING_SHARE: Final = 0.4
#: Tenths of a climb at which it is compared with those of other workers, and how far apart, as a
#: share of a climb, two may be to be compared.
_COMPARED: Final = (3, 5, 7)
_NEAR: Final = 0.1
#: Shortest climb that has rivals, in evaluations: shorter ones do better alone.
_LEAST_RIVAL: Final = 10_000


class ClimbStudy:
    """Runs climbs one after another until the budget is spent.

    Args:
        settings: what to vary.
        base: settings of a climb that the study does not vary.
        starts: corpus starts, best first.
        material: what edits may put in.
        evaluator: scores strings, within the run's budget.
        ceiling: of the objective.
        rate: strings screened a second at the token limit, as measured.
        seed: of everything random here, with the climb's number.
        exchange: where climbs that ended go; nowhere when left out.
        worker: number of this one among those that share the exchange.

    Attributes:
        elite: the best string at any time.
    """

    def __init__(
        self,
        settings: StudySettings,
        base: ClimbSettings,
        starts: list[Candidate],
        material: Vocabulary,
        evaluator: Evaluator,
        *,
        ceiling: float,
        rate: float,
        seed: int,
        exchange: ResultBoard | None = None,
        worker: int = 0,
    ) -> None:
        self._settings = settings
        self._starts = starts
        self._material = material
        self._evaluator = evaluator
        self._ceiling = ceiling
        self._rate = rate
        self._exchange = exchange or Alone()
        self._worker = worker
        self._sampling = Sampling(settings, base, seed=seed, worker=worker)
        self._number = 0
        self._round: Round | None = None
        self._mark: Mark | None = None
        self._stages: list[Milestone] = []
        self._limits = evaluator.budget.limits
        self.elite = max(starts, key=lambda row: row.score)

    @property
    def climbs(self) -> int:
        """Number of climbs that have begun."""
        return self._number

    @property
    def mark(self) -> Mark | None:
        """Where the present climb stood at its last step, for other workers."""
        return self._mark

    def run(self) -> Iterator[StudyEvent]:
        """Yield every step of every climb until the budget is spent, or its end is asked for."""
        while True:
            reading = self._read()
            moment = self._suspended() if reading.stopped else self._next(reading)
            if moment is None:
                return
            yield moment
            if moment.ended == "stopped":
                return

    # -- the state ------------------------------------------------------------------------------

    def state(self) -> State:
        """Return all that the rest of the study depends on, beside what it was made with."""
        return {
            "number": self._number,
            "elite": self.elite.state(),
            "limits": list(astuple(self._limits)),
            "round": self._round and self._round.state(),
        }

    def restore(self, state: State) -> None:
        """Go over to where :meth:`state` was taken of a study made with the same arguments."""
        self._number = state["number"]
        self.elite = Candidate.of_state(state["elite"])
        self._limits = Limits(*state["limits"])
        going = state["round"]
        self._round = going and Round(
            going["rivals"],
            going["length"],
            [self._restored(runner) for runner in going["runners"]],
            going["ahead"],
        )

    def _restored(self, state: State) -> ClimbRun:
        climb = None
        if state["climb"] is not None:
            rng = self._sampling.rng(state["number"])
            climb = self._climb(self.elite, state["params"], rng)
            climb.restore(state["climb"])
        return ClimbRun(**{**state, "climb": climb})

    # -- rounds ---------------------------------------------------------------------------------

    def _read(self) -> BudgetReading:
        """Read the clock, and measure all shares anew where the budget has been changed."""
        budget = self._evaluator.budget
        spent, evaluations, now = budget.elapsed, budget.evaluations + budget.others, budget.limits
        fraction = now.fraction(spent, evaluations)
        if now != self._limits:
            before = self._limits.fraction(spent, evaluations)
            if self._round is not None and before > 0:
                self._round.rescale(fraction / before)
            self._limits = now
        return BudgetReading(fraction, budget.stopped or fraction >= 1.0, budget.stopped)

    def _next(self, reading: BudgetReading) -> StudyEvent | None:
        """Do what comes next, and return what there is to tell of it; ``None`` at the end."""
        while self._round is not None or self._number == 0 or not reading.expired:
            if self._round is None:
                self._round = self._plan(reading)
            moment = self._go_on(self._round, reading)
            if moment is not None:
                return moment
            self._round = None
        return None

    def _plan(self, reading: BudgetReading) -> Round:
        """Return the next round: its rivals, and a climb's length as a share of the budget.

        A round that would leave less than half a round behind it takes all there is.
        """
        left = 1.0 - reading.fraction
        length = self._share(self._settings.climb_evaluations)
        least = self._share(min(_LEAST_RIVAL, self._settings.climb_evaluations))
        for rivals in range(self._settings.rivals, 1, -1):
            climbs = climbs_in(rivals)
            fitted = left / climbs if left < 1.5 * length * climbs else length
            if fitted >= least:
                return Round(rivals, fitted)
        return Round(1, left if left < 1.5 * length else length)

    def _go_on(self, going: Round, reading: BudgetReading) -> StudyEvent | None:
        """Do a round's next step; ``None`` where it is over."""
        active = going.active()
        if active is not None and active.climb is not None:
            self._report(active, going, reading)
        if going.ahead is None:
            moment = self._among_rivals(active, going, reading)
            if moment is not None:
                return moment
            scores = [runner.running.best.score for runner in going.runners]
            going.ahead = int(np.argmax(scores))
            going.runners[going.ahead].resume(reading)
        return self._alone(going.runners[going.ahead], going, reading)

    def _among_rivals(
        self, active: ClimbRun | None, going: Round, reading: BudgetReading
    ) -> StudyEvent | None:
        """Let the newest climb go on, or another one begin; ``None`` where all had their turn."""
        if active is not None and self._may_run(active, going, reading, going.until()):
            return self._advance(active, going, reading)
        if active is not None:
            active.pause(reading)
        if len(going.runners) < going.rivals and not (going.runners and reading.expired):
            return self._enter(going, reading)
        return None

    def _alone(self, ahead: ClimbRun, going: Round, reading: BudgetReading) -> StudyEvent | None:
        """End the others one by one, let the best one go on to its end, and end it."""
        for runner in going.runners:
            if runner is not ahead and runner.climb is not None:
                return self._end(runner, "pruned")
        if ahead.climb is None:
            return None
        if self._may_run(ahead, going, reading, 1.0):
            return self._advance(ahead, going, reading)
        return self._end(ahead, "pruned" if ahead.hopeless else "complete")

    @staticmethod
    def _may_run(runner: ClimbRun, going: Round, reading: BudgetReading, until: float) -> bool:
        return not runner.hopeless and runner.progress(going.length, reading) < until

    def _enter(self, going: Round, reading: BudgetReading) -> StudyEvent:
        """Let one more climb begin."""
        number = self._number
        self._number += 1
        first = going.runners[0].number if going.runners else number
        params = self._sampling.first() if first == 0 else self._drawn(number)
        before = self._evaluator.budget.evaluations
        rng = self._sampling.rng(number)
        climb = self._climb(self._start(params, rng), params, rng)
        runner = ClimbRun(number, params, climb, time.time(), reading.fraction)
        going.runners.append(runner)
        step = climb.begin()
        self._stages.append(Milestone(number, 0, step.best))
        runner.evaluations = self._evaluator.budget.evaluations - before
        return self._told(runner, step)

    def _advance(self, runner: ClimbRun, going: Round, reading: BudgetReading) -> StudyEvent:
        before = self._evaluator.budget.evaluations
        share = runner.progress(going.length, reading)
        step = runner.running.step(share)
        runner.evaluations += self._evaluator.budget.evaluations - before
        self._mark = Mark(body=list(step.best.body), score=step.best.score, share=share)
        return self._told(runner, step)

    def _told(self, runner: ClimbRun, step: Step) -> StudyEvent:
        self.elite = max(self.elite, step.best, key=lambda row: row.score)
        return runner.moment(step, self._reached())

    def _reached(self) -> tuple[Milestone, ...]:
        """Return the stages that were reached since this was last asked."""
        stages, self._stages = tuple(self._stages), []
        return stages

    def _report(self, runner: ClimbRun, going: Round, reading: BudgetReading) -> None:
        """Note the score at each tenth of a climb, and judge it there."""
        best = runner.running.best
        reached = min(REPORTS, int(runner.progress(going.length, reading) * REPORTS))
        if reached <= len(runner.reports):
            return
        stages = range(len(runner.reports) + 1, reached + 1)
        runner.reports += [best.score] * len(stages)
        self._stages.append(Milestone(runner.number, reached, best))
        if any(stage in stages for stage in _COMPARED):
            self._compare(runner, runner.progress(going.length, reading))
            best = runner.running.best
        if len(runner.reports) >= PRUNE_FROM and best.score < self.elite.score:
            runner.hopeless = self._sampling.is_hopeless(runner.reports, self._exchange.ended())

    def _compare(self, runner: ClimbRun, share: float) -> None:
        """Let a climb that is behind go over to the string of one that is ahead.

        Workers on one study are each other's rivals: where a climb is behind half of those that
        are as far as it is, it goes on from the string of one of the best quarter, with what it
        has learned, at its own temperature ("go with the winners", Aldous and Vazirani 1994).
        """
        best = runner.running.best
        near = [mark for mark in self._exchange.marks() if _is_near(mark, share)]
        ahead = sorted((mark for mark in near if mark["score"] > best.score), key=_by_score)
        if not near or 2 * len(ahead) < len(near):
            return
        leaders = ahead[: math.ceil(len(near) / 4)]
        rng = self._sampling.rng(runner.number, stage=len(runner.reports))
        chosen = leaders[int(rng.integers(len(leaders)))]
        taken = self._evaluator.revive(chosen["body"])
        if taken is not None and taken.score > best.score:
            runner.running.go_over(taken)

    def _end(self, runner: ClimbRun, ended: Literal["complete", "pruned"]) -> StudyEvent:
        moment = runner.last_moment(ended, self._reached())
        best = runner.running.best
        runner.climb = None
        self._exchange.add(
            ClimbRecord(
                worker=self._worker,
                number=runner.number,
                params=runner.params,
                reports=tuple(runner.reports),
                ended=ended,
                text=best.text,
                score=best.score,
                evaluations=runner.evaluations,
                began=runner.began,
                over=time.time(),
            )
        )
        return moment

    def _suspended(self) -> StudyEvent | None:
        """Return the last moment of a process that is asked to end, where a climb is on its way."""
        active = self._round.active() if self._round else None
        if active is None or active.climb is None:
            return None
        return active.last_moment("stopped")

    # -- climbs ---------------------------------------------------------------------------------

    def _drawn(self, number: int) -> dict[str, Any]:
        return self._sampling.draw(number, self._exchange.ended())

    def _climb(self, start: Candidate, params: dict[str, Any], rng: np.random.Generator) -> Climb:
        return Climb(
            start,
            self._material,
            self._evaluator,
            self._sampling.settings(params),
            ceiling=self._ceiling,
            rng=rng,
        )

    def _start(self, params: dict[str, Any], rng: np.random.Generator) -> Candidate:
        kind: StartKind = params["start"]
        if kind == "elite":
            self._take_over()
            edits = params.get("kick", 0)
            return kicked(self.elite, self._material, self._evaluator, edits, rng)
        if kind == "phrases":
            assembled = assembled_start(self._material, self._evaluator, rng)
            if assembled is not None:
                return assembled
        first = int(rng.integers(min(_FIRST_STARTS, len(self._starts))))
        return filled_start(self._starts[first:], self._evaluator, rng)

    def _take_over(self) -> None:
        """Make another worker's string the elite, where it is the better one."""
        other = self._exchange.elite()
        if other is not None and other["score"] > self.elite.score:
            taken = self._evaluator.revive(other["body"])
            if taken is not None:
                self.elite = max(self.elite, taken, key=lambda row: row.score)

    def _share(self, evaluations: int) -> float:
        """Return the share of the budget that so many evaluations take."""
        limits = self._limits
        shares = []
        if limits.max_evaluations is not None:
            shares.append(evaluations / limits.max_evaluations)
        if limits.seconds is not None:
            seconds = evaluations / (_EVALUATING_SHARE * self._rate)
            shares.append(seconds / limits.seconds)
        return max(shares)


def _is_near(mark: Mark, share: float) -> bool:
    return abs(mark["share"] - share) <= _NEAR


def _by_score(mark: Mark) -> float:
    return -mark["score"]
