"""Keeping track of a search's best string so far: writing it to disk and reporting it."""

from __future__ import annotations

import math
import time
from typing import Any, Final, Generic, Protocol, TypeVar

from mean_prompt.optimize import Affix, Candidate
from mean_prompt.runs.inputs import SearchInputs
from mean_prompt.runs.progress import SearchProgress
from mean_prompt.system import State

#: Share of the search's time for exact scores if the search uses a compressed objective.
_EXACT_SHARE: Final = 0.02


F = TypeVar("F", bound=Candidate | Affix)


class _Scoring(Protocol[F]):
    """Protocol for scoring what a search finds: ``StringScoring`` or ``AffixScoring``."""

    train_ceiling: float
    is_exact: bool

    def worth(self, found: F) -> float: ...
    def exact(self, found: F) -> F: ...
    def holdout(self, found: F, seconds: float) -> float | None: ...
    def details(self, found: F, holdout: float | None) -> dict[str, Any]: ...
    def restored(self, state: State) -> F: ...


class Tracker(Generic[F]):
    """Keeps the best string of a run, writes it to the run's folder, and reports progress.

    Reported scores are over every training prompt. If the search uses a compressed (approximate)
    objective, its best string is scored over all prompts before it is reported, in at most a small
    share of the time: a string that is overtaken while it waits is never scored.

    Attributes:
        fallback: a string that an earlier process found after its last save, or ``None``; it is
            the result of the run if the resumed search finds none better.
    """

    def __init__(self, inputs: SearchInputs[Any], scoring: _Scoring[F]) -> None:
        self._budget = inputs.budget
        self._folder = inputs.folder
        self._listener = inputs.listener
        self._scoring = scoring
        self._began = time.monotonic()
        self._began_evaluations = self._budget.evaluations
        self._exact_seconds = 0.0
        self._leading = -math.inf
        #: The best string by the search's objective, its climb, and the move that led to it.
        self._waiting: tuple[F, int, str | None] | None = None
        self._holdout: float | None = None
        self._move: str | None = None
        self.best: F
        self.fallback: F | None = None

    @property
    def search_seconds(self) -> float:
        """Seconds since the search began, without loading and embedding."""
        return time.monotonic() - self._began

    @property
    def rate(self) -> float:
        """Evaluations (strings encoded) per second since the search began."""
        spent = self._budget.evaluations - self._began_evaluations
        return spent / max(self.search_seconds, 1e-9)

    def follow(self, best: F, trial: int, move: str | None) -> None:
        """Take note of the search's best string after a step, and report progress."""
        if self._scoring.worth(best) > self._leading:
            self._leading = self._scoring.worth(best)
            self._waiting = (best, trial, move)
        if not (self._affordable() and self.settle()):
            self.report(trial)

    def improve(self, best: F, *, trial: int, move: str) -> None:
        """Make a string the best of the run, and write and report it."""
        self._leading = self._scoring.worth(best)
        self._lead(self._exact(best), trial, move)

    def settle(self) -> bool:
        """Score the waiting string exactly, if any; return whether it became the best string."""
        if self._waiting is None:
            return False
        (found, trial, move), self._waiting = self._waiting, None
        exact = self._exact(found)
        if self._scoring.worth(exact) <= self._scoring.worth(self.best):
            return False
        self._lead(exact, trial, move)
        return True

    def finish(self) -> F:
        """Return the best string of the run; called once the search is over."""
        self.settle()
        fallback = self.fallback
        if fallback is not None and self._scoring.worth(fallback) > self._scoring.worth(self.best):
            self._lead(fallback, 0, "resumed")
        return self.best

    def report(self, trial: int, *, gained: bool = False) -> None:
        """Send the search's progress to the listener."""
        budget = self._budget
        self._listener(
            SearchProgress(
                "searching",
                budget.evaluations,
                budget.max_evaluations,
                "evaluations",
                seconds=budget.elapsed,
                remaining=budget.remaining,
                rate=self.rate,
                trial=trial,
                score=self.best.score,
                fraction=self.best.score / self._scoring.train_ceiling,
                holdout=self._holdout,
                text=self.best.text,
                move=self._move,
                gained=gained,
            )
        )

    def log_found(self, event: str, trial: int, found: F, **more: object) -> None:
        """Log an event with a string's exact score; if time is short, only a climb's end."""
        if self._folder and (self._affordable() or event == "climb"):
            found = self._exact(found)
            self.log(event, trial, found.score, found.text, **more)

    def log(self, event: str, trial: int, score: float, text: str, **more: object) -> None:
        """Append an event to the run's log of events, if the run has a folder."""
        if self._folder:
            self._folder.log(
                {
                    "event": event,
                    "time": round(self._budget.elapsed, 3),
                    "evaluations": self._budget.evaluations,
                    "trial": trial,
                    "score": score,
                    "fraction": score / self._scoring.train_ceiling,
                    "text": text,
                    **more,
                }
            )

    def state(self) -> State:
        """Return the tracker's state for a checkpoint; :meth:`restore` reads it."""
        waiting = self._waiting
        return {
            "best": self.best.state(),
            "move": self._move,
            "leading": self._leading,
            "waiting": waiting and [waiting[0].state(), *waiting[1:]],
            "search_seconds": self.search_seconds,
            "exact_seconds": self._exact_seconds,
            "began_evaluations": self._began_evaluations,
        }

    def restore(self, state: State) -> None:
        """Restore the tracker from the :meth:`state` of a tracker of the same search."""
        self.best = self._scoring.restored(state["best"])
        self._move, self._leading = state["move"], state["leading"]
        if state["waiting"]:
            found, trial, move = state["waiting"]
            self._waiting = self._scoring.restored(found), trial, move
        self._began = time.monotonic() - state["search_seconds"]
        self._exact_seconds = state["exact_seconds"]
        self._began_evaluations = state["began_evaluations"]
        self._holdout = self._scoring.holdout(self.best, self.search_seconds)

    def _lead(self, found: F, trial: int, move: str | None) -> None:
        self.best, self._move = found, move
        self._holdout = self._scoring.holdout(self.best, self.search_seconds)
        if self._folder:
            self._folder.write_best(self.best.text, self._scoring.worth(self.best))
        more = self._scoring.details(self.best, self._holdout)
        self.log("best", trial, found.score, found.text, move=move, **more)
        self.report(trial, gained=True)

    def _affordable(self) -> bool:
        return self._exact_seconds <= _EXACT_SHARE * self.search_seconds

    def _exact(self, found: F) -> F:
        if self._scoring.is_exact:
            return found
        began = time.monotonic()
        exact = self._scoring.exact(found)
        self._exact_seconds += time.monotonic() - began
        return exact
