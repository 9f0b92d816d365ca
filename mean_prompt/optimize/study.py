"""A study: a series of climbs (annealing runs), whose starts and settings Optuna tunes.

Climbs compete in rounds. Optuna draws each climb's settings, receives its score at every
tenth of its length, and ends it if it stays below most earlier ones.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import astuple
from typing import Any, Final, Literal

import numpy as np

from mean_prompt.optimize.budget import Limits
from mean_prompt.optimize.climb import Climb, ClimbSettings, Edits, Step
from mean_prompt.optimize.evaluator import Candidate, Evaluator
from mean_prompt.optimize.rounds import (
    HALFWAY,
    BudgetReading,
    ClimbRun,
    Ending,
    Milestone,
    Round,
    StudyEvent,
)
from mean_prompt.optimize.sampling import (
    PRUNE_FROM,
    REPORTS,
    ClimbRecord,
    LocalBoard,
    Mark,
    ResultBoard,
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
    """Runs climbs (each an annealing of one string) one after another until the budget is spent.

    Args:
        base: settings of a climb that the study does not vary.
        starts: start strings from the corpus, best first.
        rate: strings screened a second at the token limit, as measured.
        seed: of all random draws, together with the climb's number.
        board: stores the climbs that ended; the default is in memory.

    Attributes:
        elite: the best string so far.
        mark: progress of the present climb at its last step, for other workers.
    """

    def __init__(
        self,
        settings: StudySettings,
        base: ClimbSettings,
        starts: list[Candidate],
        vocabulary: Vocabulary,
        evaluator: Evaluator,
        *,
        ceiling: float,
        rate: float,
        seed: int,
        board: ResultBoard | None = None,
        worker: int = 0,
    ) -> None:
        self._settings = settings
        self._starts = starts
        self._vocabulary = vocabulary
        self._evaluator = evaluator
        self._ceiling = ceiling
        self._rate = rate
        self._board = board or LocalBoard()
        self._worker = worker
        self._sampling = Sampling(settings, base, seed=seed, worker=worker)
        self.climbs = 0
        self._round: Round | None = None
        self.mark: Mark | None = None
        #: Milestones reached since the last event; always empty between two events.
        self._milestones: list[Milestone] = []
        self._limits = evaluator.budget.limits
        self.elite = max(starts, key=lambda row: row.score)

    def run(self) -> Iterator[StudyEvent]:
        """Run climbs until the budget is spent or an end is asked for, yielding at every step."""
        while not (reading := self._read()).stopped:
            event = self._next(reading)
            if event is None:
                return
            yield event
        active = self._round.active() if self._round else None
        if active and active.climb:
            yield self._event(active, None, "stopped")

    def state(self) -> State:
        """Return the study's progress for a checkpoint, without its constructor's arguments."""
        return {
            "number": self.climbs,
            "elite": self.elite.state(),
            "limits": list(astuple(self._limits)),
            "mark": self.mark,
            "round": self._round and self._round.state(),
        }

    def restore(self, state: State) -> None:
        """Restore the :meth:`state` of a study made with the same arguments."""
        self.climbs = state["number"]
        self.elite = Candidate.of_state(state["elite"])
        self._limits = Limits(*state["limits"])
        self.mark = state["mark"]
        begun = state["round"]
        self._round = begun and Round(**begun | {"runs": [*map(self._restored, begun["runs"])]})

    def _restored(self, state: State) -> ClimbRun:
        climb = None
        if state["climb"] is not None:
            rng = self._sampling.rng(state["number"])
            climb = self._climb(self.elite, self.elite, state["params"], rng)
            climb.restore(state["climb"])
        return ClimbRun(**state | {"climb": climb})

    def _read(self) -> BudgetReading:
        """Return the budget spent so far; rescale the climbs' shares if its limits have changed."""
        budget = self._evaluator.budget
        elapsed, limits = budget.elapsed, budget.limits
        evaluations = budget.evaluations + budget.others
        fraction = limits.fraction(elapsed, evaluations)
        if limits != self._limits:
            before = self._limits.fraction(elapsed, evaluations)
            if self._round is not None and before > 0:
                self._round.rescale(fraction / before)
            self._limits = limits
        return BudgetReading(fraction, budget.stopped)

    def _next(self, reading: BudgetReading) -> StudyEvent | None:
        """Take a step of the present or a new round of climbs; ``None`` at the study's end."""
        while self._round is not None or self.climbs == 0 or not reading.expired:
            if self._round is None:
                self._round = self._plan(reading)
            event = self._next_of(self._round, reading)
            if event is not None:
                return event
            self._round = None
        return None

    def _plan(self, reading: BudgetReading) -> Round:
        """Plan a round: number of competing climbs, and length of one as a share of the budget.

        A round that would leave less than half a round after it takes all that is left.
        """
        left = 1.0 - reading.fraction
        length = self._share(self._settings.climb_evaluations)
        least = self._share(min(_LEAST_RIVAL, self._settings.climb_evaluations))
        for rivals in range(self._settings.rivals, 1, -1):
            climbs = rivals * HALFWAY + 1.0 - HALFWAY
            fitted = left / climbs if left < 1.5 * length * climbs else length
            if fitted >= least:
                return Round(rivals, fitted)
        return Round(1, left if left < 1.5 * length else length)

    def _share(self, evaluations: int) -> float:
        limits = self._limits
        shares = []
        if limits.max_evaluations is not None:
            shares.append(evaluations / limits.max_evaluations)
        if limits.seconds is not None:
            seconds = evaluations / (_EVALUATING_SHARE * self._rate)
            shares.append(seconds / limits.seconds)
        return max(shares)

    def _next_of(self, rivals: Round, reading: BudgetReading) -> StudyEvent | None:
        active = rivals.active()
        if active is not None and active.climb is not None:
            self._report(active, rivals, reading)
        if rivals.ahead is None:
            event = self._among_rivals(active, rivals, reading)
            if event is not None:
                return event
            rivals.ahead = int(np.argmax([run.running.best.score for run in rivals.runs]))
            rivals.runs[rivals.ahead].resume(reading)
        return self._ahead(rivals.runs[rivals.ahead], rivals, reading)

    def _among_rivals(
        self, active: ClimbRun | None, rivals: Round, reading: BudgetReading
    ) -> StudyEvent | None:
        """Step the newest rival climb, or begin another; ``None`` if all have had their turn."""
        until = HALFWAY if rivals.size > 1 else 1.0
        if active is not None and rivals.may_run(active, reading, until):
            return self._step(active, rivals, reading)
        if active is not None:
            active.pause(reading)
        if len(rivals.runs) < rivals.size and not (rivals.runs and reading.expired):
            return self._begin(rivals, reading)
        return None

    def _ahead(self, ahead: ClimbRun, rivals: Round, reading: BudgetReading) -> StudyEvent | None:
        """End the round's other climbs one by one, then step its best climb until it ends."""
        for run in rivals.runs:
            if run is not ahead and run.climb is not None:
                return self._end(run, "pruned")
        if ahead.climb is None:
            return None
        if rivals.may_run(ahead, reading, 1.0):
            return self._step(ahead, rivals, reading)
        return self._end(ahead, "pruned" if ahead.hopeless else "complete")

    def _begin(self, rivals: Round, reading: BudgetReading) -> StudyEvent:
        """Begin another climb of a round, by settings that Optuna draws after the first round."""
        number = self.climbs
        self.climbs += 1
        if number == 0 or (rivals.runs and rivals.runs[0].number == 0):
            params: dict[str, Any] = {"start": self._settings.starts[0]}
        else:
            params = self._sampling.draw(number, self._board.ended())
        before = self._evaluator.budget.evaluations
        rng = self._sampling.rng(number)
        start = self._start(params, rng)
        climb = self._climb(start, self._evaluator.screened(start), params, rng)
        run = ClimbRun(number, params, climb, time.time(), reading.fraction)
        rivals.runs.append(run)
        self._milestones.append(Milestone(number, 0, start))
        run.evaluations = self._evaluator.budget.evaluations - before
        return self._event(run, Step(0, start))

    def _start(self, params: dict[str, Any], rng: np.random.Generator) -> Candidate:
        kind: StartKind = params["start"]
        if kind == "elite":
            self._adopt_elite()
            edits = params.get("kick", 0)
            return kicked(self.elite, self._vocabulary, self._evaluator, edits, rng)
        if kind == "phrases":
            assembled = assembled_start(self._vocabulary, self._evaluator, rng)
            if assembled is not None:
                return assembled
        first = int(rng.integers(min(_FIRST_STARTS, len(self._starts))))
        return filled_start(self._starts[first:], self._evaluator, rng)

    def _adopt_elite(self) -> None:
        other = self._board.elite()
        if other is not None and other["score"] > self.elite.score:
            adopted = self._evaluator.score_body(other["body"])
            if adopted is not None:
                self.elite = max(self.elite, adopted, key=lambda row: row.score)

    def _climb(
        self,
        start: Candidate,
        screened: Candidate,
        params: dict[str, Any],
        rng: np.random.Generator,
    ) -> Climb:
        settings = self._sampling.settings(params)
        edits = Edits(self._vocabulary, self._evaluator, settings, self._ceiling, rng)
        return Climb(start, screened, edits)

    def _step(self, run: ClimbRun, rivals: Round, reading: BudgetReading) -> StudyEvent:
        before = self._evaluator.budget.evaluations
        share = run.progress(rivals.length, reading)
        step = run.running.step(share)
        run.evaluations += self._evaluator.budget.evaluations - before
        self.mark = Mark(body=list(step.best.body), score=step.best.score, share=share)
        return self._event(run, step)

    def _event(self, run: ClimbRun, step: Step | None, ended: Ending | None = None) -> StudyEvent:
        step = step or Step(run.running.number, run.running.best)
        milestones, self._milestones = tuple(self._milestones), []
        self.elite = max(self.elite, step.best, key=lambda row: row.score)
        return StudyEvent(run.number, run.params, run.evaluations, step, milestones, ended)

    def _report(self, run: ClimbRun, rivals: Round, reading: BudgetReading) -> None:
        """Record a climb's score at each tenth of its length, and check if the climb is behind."""
        progress, best = run.progress(rivals.length, reading), run.running.best
        reached = min(REPORTS, int(progress * REPORTS))
        new = range(len(run.reports) + 1, reached + 1)
        if not new:
            return
        run.reports += [best.score] * len(new)
        self._milestones.append(Milestone(run.number, reached, best))
        if any(tenth in new for tenth in _COMPARED):
            self._compare(run, progress)
        if len(run.reports) >= PRUNE_FROM and run.running.best.score < self.elite.score:
            run.hopeless = self._sampling.is_hopeless(run.reports, self._board.ended())

    def _compare(self, run: ClimbRun, share: float) -> None:
        """Switch a climb that is behind other workers' climbs to the string of one ahead of it.

        Workers on one study are each other's rivals: a climb behind half of those that are as far
        as it is continues from the string of one of the best quarter, with what it has learned, at
        its own temperature ("go with the winners", Aldous and Vazirani 1994).
        """
        best = run.running.best
        near = [mark for mark in self._board.marks() if abs(mark["share"] - share) <= _NEAR]
        ahead = [mark for mark in near if mark["score"] > best.score]
        if not near or 2 * len(ahead) < len(near):
            return
        ahead.sort(key=lambda mark: -mark["score"])
        leaders = ahead[: math.ceil(len(near) / 4)]
        rng = self._sampling.rng(run.number, stage=len(run.reports))
        chosen = leaders[int(rng.integers(len(leaders)))]
        adopted = self._evaluator.score_body(chosen["body"])
        if adopted is not None and adopted.score > best.score:
            run.running.switch_to(adopted)

    def _end(self, run: ClimbRun, ended: Literal["complete", "pruned"]) -> StudyEvent:
        event, best = self._event(run, None, ended), run.running.best
        run.climb = None
        self._board.add(
            ClimbRecord(
                worker=self._worker,
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
