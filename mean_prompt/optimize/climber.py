"""One process's part of a search: it runs the climbs that a study orders, a few steps at a time.

The study decides (which climb begins with which settings, when one ends, who adopts which string);
a climber computes. Their interface is small enough to stand in the same process, in another one of
this machine, or on another machine: :meth:`Climber.begin`, :meth:`Climber.advance`,
:meth:`Climber.adopt` and :meth:`Climber.end`, each answered by a :class:`ClimbReport`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mean_prompt.encoder import TokenIds
from mean_prompt.optimize.climb import Climb, Edits, Step
from mean_prompt.optimize.evaluator import Candidate, Evaluator
from mean_prompt.optimize.sampling import Sampling
from mean_prompt.optimize.starts import StartKind, assembled_start, filled_start, kicked
from mean_prompt.optimize.vocabulary import Vocabulary
from mean_prompt.system import State

#: Best prompts of the corpus, one of which a climb begins with.
_FIRST_STARTS = 5


@dataclass(frozen=True, slots=True, eq=False)
class ClimbOrder:
    """A climb to begin.

    Attributes:
        number: number of the climb in its study, from 0.
        params: settings drawn for the climb, by Optuna's parameter names.
        elite: the study's best string so far, from which some climbs start.
    """

    number: int
    params: dict[str, Any]
    elite: Candidate


@dataclass(frozen=True, slots=True)
class Pace:
    """The share of a climb's length that is over, by time and evaluations from this moment on.

    Attributes:
        share: share that is over at this moment, in [0, 1].
        per_second, per_evaluation: growth of the share; the larger of both counts.
        until: share at which the climb pauses.
    """

    share: float
    per_second: float
    per_evaluation: float
    until: float

    def at(self, seconds: float, evaluations: int) -> float:
        """Return the share that is over a number of seconds and evaluations after this moment."""
        return self.share + max(self.per_second * seconds, self.per_evaluation * evaluations)


@dataclass(frozen=True, slots=True, eq=False)
class ClimbReport:
    """What a climber did for a climb since its last report.

    Attributes:
        number: number of the climb.
        step: the climb's last step, with its best string.
        evaluations: strings encoded since the last report.
        share: share of the climb's length that was over at the last step.
        seconds: time taken.
        state: the climb's state, if it was asked for; another climber can continue from it.
    """

    number: int
    step: Step
    evaluations: int
    share: float
    seconds: float
    state: State | None = None


class Climber:
    """Runs climbs (each an annealing of one string) by a study's orders.

    Args:
        starts: start strings from the corpus, best first.
        ceiling: highest value of the objective, the unit of temperatures.
    """

    def __init__(
        self,
        sampling: Sampling,
        starts: Sequence[Candidate],
        vocabulary: Vocabulary,
        evaluator: Evaluator,
        ceiling: float,
    ) -> None:
        self._sampling = sampling
        self._starts = list(starts)
        self._vocabulary = vocabulary
        self._evaluator = evaluator
        self._ceiling = ceiling
        self._climbs: dict[int, Climb] = {}
        self._reported = evaluator.budget.evaluations

    def begin(self, order: ClimbOrder) -> ClimbReport:
        """Begin a climb from a start string of the kind that its settings name."""
        began, rng = time.monotonic(), self._sampling.rng(order.number)
        start = self._start(order, rng)
        self._climbs[order.number] = self._climb(
            start, self._evaluator.screened(start), order.params, rng
        )
        return self._report(order.number, Step(0, start), 0.0, began)

    def advance(
        self, number: int, pace: Pace, *, seconds: float = 0.0, with_state: bool = False
    ) -> ClimbReport:
        """Take steps of a climb for a number of seconds, at least one, or until it is to pause."""
        began, climb = time.monotonic(), self._climbs[number]
        first = self._evaluator.budget.evaluations
        gained, share = False, pace.share
        while True:
            step = climb.step(share)
            gained = gained or step.gained
            passed = time.monotonic() - began
            following = pace.at(passed, self._evaluator.budget.evaluations - first)
            if passed >= seconds or following >= pace.until:
                break
            share = following
        step = Step(step.number, step.best, gained, step.move)
        return self._report(number, step, share, began, climb.state() if with_state else None)

    def adopt(self, number: int, body: TokenIds) -> ClimbReport:
        """Continue a climb from another string, given by token ids, if it scores higher here."""
        began, climb = time.monotonic(), self._climbs[number]
        other = self._evaluator.score_body(body)
        if other is not None and other.score > climb.best.score:
            climb.switch_to(other)
        return self._report(number, Step(climb.number, climb.best), 0.0, began)

    def end(self, number: int) -> None:
        """Forget a climb that has ended."""
        self._climbs.pop(number, None)

    def state(self, number: int) -> State:
        """Return a climb's state for a checkpoint."""
        return self._climbs[number].state()

    def resume(self, order: ClimbOrder, state: State) -> None:
        """Continue a climb from the state that this climber or another one reported."""
        rng = self._sampling.rng(order.number)
        climb = self._climb(order.elite, order.elite, order.params, rng)
        climb.restore(state)
        self._climbs[order.number] = climb

    def _start(self, order: ClimbOrder, rng: np.random.Generator) -> Candidate:
        kind: StartKind = order.params["start"]
        if kind == "elite":
            edits = order.params.get("kick", 0)
            return kicked(order.elite, self._vocabulary, self._evaluator, edits, rng)
        if kind == "phrases":
            assembled = assembled_start(self._vocabulary, self._evaluator, rng)
            if assembled is not None:
                return assembled
        first = int(rng.integers(min(_FIRST_STARTS, len(self._starts))))
        return filled_start(self._starts[first:], self._evaluator, rng)

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

    def _report(
        self, number: int, step: Step, share: float, began: float, state: State | None = None
    ) -> ClimbReport:
        spent = self._evaluator.budget.evaluations
        evaluations, self._reported = spent - self._reported, spent
        return ClimbReport(number, step, evaluations, share, time.monotonic() - began, state)
