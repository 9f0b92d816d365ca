"""A climber runs the climbs that a study orders, a few steps at a time.

The study decides which climb begins with which settings, when one ends and which string it adopts;
a climber computes. It can stand in the study's process, in another one of this machine, or on
another machine: its methods take and return plain values, and hold no reference to the study.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from mean_prompt.encoder import TokenIds
from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.climb import Climb, Edits, Step
from mean_prompt.optimize.evaluator import Candidate, Evaluator
from mean_prompt.optimize.exchange import Adoption
from mean_prompt.optimize.sampling import Sampling
from mean_prompt.optimize.starts import StartKind, assembled_start, filled_start, kicked
from mean_prompt.optimize.vocabulary import Vocabulary
from mean_prompt.system import dump, load

#: Best prompts of the corpus, one of which a climb begins with.
_FIRST_STARTS: Final = 5
#: Evaluations of a climber: its study keeps the budget.
_UNLIMITED: Final = 2**62


@dataclass(frozen=True, slots=True, eq=False)
class ClimbOrder:
    """A climb to begin, or to resume.

    Attributes:
        number: number of the climb in its study, from 0.
        params: settings drawn for the climb, by Optuna's parameter names.
        elite: the study's best string so far, from which some climbs start.
        heat: factor of its temperatures.
        after: number of the ended climb whose place it takes, or ``None``.
    """

    number: int
    params: dict[str, Any]
    elite: Candidate
    heat: float = 1.0
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a climb's length passes, by time and evaluations from now on.

    Attributes:
        share: share of the climb's length that is over now, in [0, 1].
        per_second, per_evaluation: growth of the share; the larger of both counts.
    """

    share: float
    per_second: float = 0.0
    per_evaluation: float = 0.0

    def at(self, seconds: float, evaluations: int) -> float:
        """Return the share that is over after a number of seconds and evaluations."""
        return self.share + max(self.per_second * seconds, self.per_evaluation * evaluations)


@dataclass(frozen=True, slots=True, eq=False)
class ClimbReport:
    """What a climber did for a climb since its last report.

    Attributes:
        number: number of the climb.
        step: the climb's last step, with its best string.
        current, current_score: the climb's present string as token ids, and its screened score.
        temperature: the temperature of its last step, in units of the score; 0 before the first.
        evaluations: strings encoded since the last report.
        steps, seconds: steps taken, and the time that they took.
        state: the climb's state if it was asked for, packed, from which any climber can continue.
    """

    number: int
    step: Step
    current: TokenIds
    current_score: float
    temperature: float
    evaluations: int
    steps: int
    seconds: float
    state: bytes | None = None


class Climber:
    """Runs climbs (each an annealing of one string) by a study's orders.

    Args:
        starts: start strings from the corpus, best first.
        evaluator: charges a budget of its own, by which reports count evaluations.
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
        self._evaluator = evaluator.charging(Budget(max_evaluations=_UNLIMITED))
        self._ceiling = ceiling
        self._climbs: dict[int, Climb] = {}
        self._reported = 0

    def begin(self, order: ClimbOrder) -> ClimbReport:
        """Begin a climb from a start string of the kind that its settings name."""
        began, rng = time.monotonic(), self._sampling.rng(order.number)
        start = self._start(order, rng)
        screened = self._evaluator.screened(start)
        self._keep(order, self._climb(start, screened, order, rng))
        return self._report(order.number, Step(0, start), began)

    def advance(
        self, number: int, pace: Pace, seconds: float = 0.0, with_state: bool = False
    ) -> ClimbReport:
        """Take steps of a climb for a number of seconds, at least one, or until its length is over.

        A report of several steps has the last step's number and move, and ``gained`` if any has.
        """
        began, climb, first = time.monotonic(), self._climbs[number], self._spent
        step = climb.step(pace.share)
        steps, gained = 1, step.gained
        while (passed := time.monotonic() - began) < seconds:
            share = pace.at(passed, self._spent - first)
            if share >= 1.0:
                break
            step = climb.step(share)
            steps, gained = steps + 1, gained or step.gained
        step = replace(step, gained=gained)
        return self._report(number, step, began, steps, self.state(number) if with_state else None)

    def adopt(self, number: int, adoption: Adoption) -> ClimbReport:
        """Let a climb adopt a string, as the adoption says; it keeps what it has learned."""
        began, climb = time.monotonic(), self._climbs[number]
        before = climb.best
        if adoption.how == "path":
            found = self._best_between(climb.best.body, adoption.body)
        else:
            found = self._evaluator.score_body(adoption.body)
        if found is not None and (adoption.how == "swap" or found.score > climb.best.score):
            climb.switch_to(found)
        gained = climb.best is not before
        return self._report(number, Step(climb.number, climb.best, gained), began)

    def state(self, number: int) -> bytes:
        """Return a climb's packed state, which any climber of the same study can :meth:`resume`."""
        return dump(self._climbs[number].state())

    def resume(self, order: ClimbOrder, state: bytes) -> ClimbReport:
        """Continue a climb from the packed state that a climber reported."""
        began, rng = time.monotonic(), self._sampling.rng(order.number)
        climb = self._climb(order.elite, order.elite, order, rng)
        climb.restore(load(state))
        self._keep(order, climb)
        return self._report(order.number, Step(climb.number, climb.best), began)

    @property
    def _spent(self) -> int:
        return self._evaluator.budget.evaluations

    def _keep(self, order: ClimbOrder, climb: Climb) -> None:
        if order.after is not None:
            self._climbs.pop(order.after, None)
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
        self, start: Candidate, screened: Candidate, order: ClimbOrder, rng: np.random.Generator
    ) -> Climb:
        settings = self._sampling.settings(order.params)
        if order.heat != 1.0:
            hotter = {name: getattr(settings, name) * order.heat for name in ("hot", "cold")}
            settings = settings.model_copy(update=hotter)
        edits = Edits(self._vocabulary, self._evaluator, settings, self._ceiling, rng)
        return Climb(start, screened, edits)

    def _best_between(self, own: TokenIds, guide: TokenIds) -> Candidate | None:
        """Return the best string found between two, given by token ids; ``None`` if none is valid.

        Tokens of the guide are put in one at a time, then together, the best ones first.
        """
        places = [i for i in range(min(len(own), len(guide))) if own[i] != guide[i]]
        single = [(*own[:i], guide[i], *own[i + 1 :]) for i in places]
        ranked = [
            (-found.score, place)
            for place, found in zip(places, self._evaluator.screen(single), strict=True)
            if found is not None
        ]
        mixed, path = list(own), []
        for _, place in sorted(ranked):
            mixed[place] = guide[place]
            path.append(tuple(mixed))
        between = [found for found in self._evaluator.screen(path) if found is not None]
        if not between:
            return None
        return self._evaluator.exact([max(between, key=lambda row: row.score)])[0]

    def _report(
        self, number: int, step: Step, began: float, steps: int = 0, state: bytes | None = None
    ) -> ClimbReport:
        climb, evaluations = self._climbs[number], self._spent - self._reported
        self._reported = self._spent
        return ClimbReport(
            number,
            step,
            climb.current.body,
            climb.current.score,
            climb.temperature,
            evaluations,
            steps,
            time.monotonic() - began,
            state,
        )
