"""The budget of a search: limits on seconds, on encoded strings, or both, and an early stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mean_prompt.system import Deadline

_CLOSING_SECONDS: Final = 2.5
_CLOSING_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a search: wall-clock seconds, number of strings encoded by the model, or both.

    ``reserve`` seconds are kept free for scoring the final results, on top of the few always kept.
    """

    seconds: float | None
    max_evaluations: int | None
    reserve: float = 0.0

    def fraction(self, elapsed: float, evaluations: int) -> float:
        """Return the share of the budget spent, in [0, 1]: of time or evaluations, the larger."""
        per_second, per_evaluation = self.pace()
        return min(1.0, max(elapsed * per_second, evaluations * per_evaluation))

    def pace(self) -> tuple[float, float]:
        """Return the share of the budget that a second takes, and that an evaluation takes."""
        per_second = per_evaluation = 0.0
        if self.seconds is not None:
            # A little is kept for the last scores and files, so that these end in time too.
            closing = self.reserve + min(_CLOSING_SECONDS, _CLOSING_SHARE * self.seconds)
            per_second = 1.0 / max(self.seconds - closing, 1e-9)
        if self.max_evaluations is not None:
            per_evaluation = 1.0 / self.max_evaluations
        return per_second, per_evaluation


class Budget:
    """The time and evaluations that a search has spent, and its limits, checked at every step.

    Args:
        clock: in seconds, never going back.
        started: when the time began, by ``clock``; the default is now.

    Attributes:
        deadline: the limit in time alone, for work outside the search.
    """

    def __init__(
        self,
        seconds: float | None = None,
        max_evaluations: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        started: float | None = None,
    ) -> None:
        if seconds is None and max_evaluations is None:
            raise ValueError("a budget needs seconds, evaluations, or both")
        self.deadline = Deadline(seconds, started=started, clock=clock)
        self.max_evaluations = max_evaluations
        self.evaluations = 0
        self.reserve = 0.0

    @property
    def seconds(self) -> float | None:
        """Wall-clock limit of the whole run in seconds, or ``None`` if time is not limited."""
        return self.deadline.limit

    @seconds.setter
    def seconds(self, limit: float | None) -> None:
        self.deadline.limit = limit

    @property
    def elapsed(self) -> float:
        """Seconds since the run started."""
        return self.deadline.elapsed

    @property
    def remaining(self) -> float | None:
        """Seconds left until the run's time limit, at least 0; ``None`` if time is not limited."""
        return None if self.seconds is None else self.deadline.remaining

    @property
    def limits(self) -> Limits:
        """The present limits of the search, as an immutable value."""
        return Limits(self.seconds, self.max_evaluations, self.reserve)

    def spend(self, evaluations: int) -> None:
        """Add a number of encoded strings to the evaluations spent."""
        self.evaluations += evaluations

    def stop(self) -> None:
        """Ask the search to end before its next step; safe in signal handlers and threads."""
        self.deadline.stop()

    @property
    def stopped(self) -> bool:
        """Whether the search was asked to end early."""
        return self.deadline.stopped

    def expired(self) -> bool:
        """Return whether the budget is spent or the search was asked to end early."""
        return self.stopped or self.fraction() >= 1.0

    def fraction(self) -> float:
        """Return the share of the budget spent; time is ignored if only evaluations are limited."""
        return self.limits.fraction(self.elapsed, self.evaluations)
