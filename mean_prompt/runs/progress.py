"""Following a search: the best string so far, written down and told to whoever listens."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from mean_prompt.optimize import Budget, Candidate, ClimbRecord, Problem, StudyEvent
from mean_prompt.runs.folder import RunFolder
from mean_prompt.system import State


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a search stands, for displays and logs.

    Attributes:
        phase: what is being done: ``loaded``, ``embedding``, ``vocabulary`` or ``searching``.
        done, total: of the phase's items, where it counts them; evaluations while searching.
        seconds: since the start of the run.
        remaining: seconds left, or ``None`` where time is not limited.
        rate: evaluations per second while searching.
        trial: number of the climb.
        score, fraction, holdout: of the best string, over every training prompt, as a share of
            the ceiling, and over the hold-out.
        text: the best string.
        move: that last led to a better one.
        gained: whether ``text`` is new.
        notes: what the user should know of corpus and model, a line each; at ``loaded``.
    """

    phase: Literal["loaded", "embedding", "vocabulary", "searching"]
    done: int
    total: int | None
    seconds: float
    remaining: float | None
    rate: float = 0.0
    trial: int = 0
    score: float = 0.0
    fraction: float = 0.0
    holdout: float | None = None
    text: str = ""
    move: str | None = None
    gained: bool = False
    notes: tuple[str, ...] = ()


Listener = Callable[[Progress], None]


#: Share of the search's time that exact scores may take where it goes by a compressed objective.
_EXACT_SHARE: Final = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class _Leader:
    """The best string by the search's objective, and what led to it."""

    candidate: Candidate
    trial: int
    move: str


class Tracker:
    """Keeps the best string of a run, writes it down, and tells the listener.

    What it tells is over every training prompt. Where the search goes by a compressed objective,
    a string that leads there is scored over all of them before it is told, at most for a small
    share of the time: a string that is overtaken while it waits is never scored.
    """

    def __init__(
        self, budget: Budget, problem: Problem, listen: Listener, out: RunFolder | None
    ) -> None:
        self._budget = budget
        self._problem = problem
        self._listen = listen
        self._out = out
        self._began = time.monotonic()
        self._began_evaluations = budget.evaluations
        self._exact_seconds = 0.0
        self._leading = -math.inf
        self._waiting: _Leader | None = None
        self._holdout: float | None = None
        self._move: str | None = None
        self.best: Candidate

    @property
    def search_seconds(self) -> float:
        """Seconds since the search began, loading and embedding left out."""
        return time.monotonic() - self._began

    @property
    def rate(self) -> float:
        """Evaluations a second since the search began."""
        spent = self._budget.evaluations - self._began_evaluations
        return spent / max(self.search_seconds, 1e-9)

    def follow(self, moment: StudyEvent) -> None:
        """Take in one moment of the study."""
        best = moment.step.best
        if best.score > self._leading:
            self._leading = best.score
            self._waiting = _Leader(best, moment.trial, moment.step.move or moment.start)
        if not (self._affordable() and self.settle()):
            self.tell(moment.trial)
        for stage in moment.stages:
            if self._affordable():
                best_there = self._scored_exactly(stage.best)
                self._log("stage", stage.trial, best_there, number=stage.number)
        if moment.ended:
            self._log(
                "climb",
                moment.trial,
                self._scored_exactly(best),
                ended=moment.ended,
                spent=moment.evaluations,
                **moment.params,
            )

    def state(self) -> State:
        """Return all that its rest depends on."""
        waiting = self._waiting
        return {
            "best": self.best.state(),
            "move": self._move,
            "leading": self._leading,
            "waiting": waiting
            and {
                "candidate": waiting.candidate.state(),
                "trial": waiting.trial,
                "move": waiting.move,
            },
            "search_seconds": self.search_seconds,
            "exact_seconds": self._exact_seconds,
            "began_evaluations": self._began_evaluations,
        }

    def restore(self, state: State, *, since: float) -> None:
        """Go over to where :meth:`state` was taken.

        Args:
            state: of a tracker of the same problem.
            since: seconds that the search had gone on after it was taken.
        """
        self.best = Candidate.of_state(state["best"])
        self._holdout = self._problem.holdout_score(self.best.vector)
        self._move, self._leading = state["move"], state["leading"]
        waiting = state["waiting"]
        self._waiting = waiting and _Leader(
            Candidate.of_state(waiting["candidate"]), waiting["trial"], waiting["move"]
        )
        self._began = time.monotonic() - state["search_seconds"] - since
        self._exact_seconds = state["exact_seconds"]
        self._began_evaluations = state["began_evaluations"]

    def improve(self, best: Candidate, *, trial: int, move: str) -> None:
        """Make a string the best one."""
        self._leading = best.score
        self._report(_Leader(self._scored_exactly(best), trial, move))

    @property
    def best_before(self) -> str | None:
        """The best string that an earlier process told of, if any."""
        before = self._out and self._out.best_before
        return before[0] if before else None

    def take_back(self, found: Candidate) -> None:
        """Make a string that an earlier process told of the best one again, where it is better."""
        exact = self._scored_exactly(found)
        if exact.score > self.best.score:
            self.best, self._leading = exact, max(self._leading, found.score)
            self._holdout = self._problem.holdout_score(exact.vector)

    def tell(self, trial: int) -> None:
        """Tell the listener where the search stands."""
        self._tell(trial, gained=False)

    def ended(self, record: ClimbRecord) -> None:
        """Write down a climb that another process ended."""
        if self._out:
            self._out.log(
                {
                    "event": "climb",
                    "time": round(self._budget.elapsed, 3),
                    "evaluations": self._budget.evaluations,
                    "worker": record.worker,
                    "trial": record.number,
                    "score": record.score,
                    "fraction": record.score / self._problem.train_ceiling,
                    "text": record.text,
                    "ended": record.ended,
                    "spent": record.evaluations,
                    "seconds": round(record.over - record.began, 3),
                    "reports": record.reports,
                    **record.params,
                }
            )

    def settle(self) -> bool:
        """Score a string that waits for it, and report it if it is the best; tell whether it is."""
        if self._waiting is None:
            return False
        waiting, self._waiting = self._waiting, None
        exact = replace(waiting, candidate=self._scored_exactly(waiting.candidate))
        if exact.candidate.score <= self.best.score:
            return False
        self._report(exact)
        return True

    def _report(self, leader: _Leader) -> None:
        self.best = leader.candidate
        self._move = leader.move
        self._holdout = self._problem.holdout_score(self.best.vector)
        if self._out:
            self._out.write_best(self.best.text, self.best.score)
        self._log("best", leader.trial, self.best, holdout=self._holdout, move=leader.move)
        self._tell(leader.trial, gained=True)

    def _affordable(self) -> bool:
        return self._exact_seconds <= _EXACT_SHARE * self.search_seconds

    def _scored_exactly(self, candidate: Candidate) -> Candidate:
        """Return a candidate of the search with its score over every training prompt."""
        if self._problem.compression is None:
            return candidate
        began = time.monotonic()
        score = self._problem.train_score(candidate.vector)
        self._exact_seconds += time.monotonic() - began
        return replace(candidate, score=score)

    def _log(self, event: str, trial: int, best: Candidate, **more: object) -> None:
        if self._out:
            self._out.log(
                {
                    "event": event,
                    "time": round(self._budget.elapsed, 3),
                    "evaluations": self._budget.evaluations,
                    "trial": trial,
                    "score": best.score,
                    "fraction": best.score / self._problem.train_ceiling,
                    "text": best.text,
                    **more,
                }
            )

    def _tell(self, trial: int, *, gained: bool) -> None:
        self._listen(
            Progress(
                "searching",
                self._budget.evaluations,
                self._budget.max_evaluations,
                self._budget.elapsed,
                self._budget.remaining,
                rate=self.rate,
                trial=trial,
                score=self.best.score,
                fraction=self.best.score / self._problem.train_ceiling,
                holdout=self._holdout,
                text=self.best.text,
                move=self._move,
                gained=gained,
            )
        )
