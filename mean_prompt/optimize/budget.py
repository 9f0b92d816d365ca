"""What a search may spend: seconds, evaluations, or both, and a way to end it early."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_CLOSING_SECONDS: Final = 2.5
_CLOSING_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a search may go.

    Attributes:
        seconds: wall-clock limit, or ``None``.
        max_evaluations: limit on strings encoded, or ``None``.
        reserve: seconds kept for the last scores, beside the few that are always kept.
    """

    seconds: float | None
    max_evaluations: int | None
    reserve: float = 0.0

    def fraction(self, elapsed: float, evaluations: int) -> float:
        """Return the share spent, within [0, 1]: the larger of time's and evaluations'."""
        shares = []
        if self.seconds is not None:
            # A little is kept for the last scores and files, so that these end in time too.
            closing = self.reserve + min(_CLOSING_SECONDS, _CLOSING_SHARE * self.seconds)
            shares.append(elapsed / max(self.seconds - closing, 1e-9))
        if self.max_evaluations is not None:
            shares.append(evaluations / self.max_evaluations)
        return min(1.0, max(shares))


@dataclass(slots=True)
class Budget:
    """One budget that every step of a search asks before it goes on.

    Attributes:
        seconds: wall-clock limit of the whole run, or ``None``.
        max_evaluations: limit on strings encoded by the search, or ``None``.
        clock: in seconds, never going back.
        started: when the clock began, by ``clock``; now, when left out.
        evaluations: strings encoded so far.
        others: strings that other workers on the same budget encoded, as far as is known.
        reserve: seconds kept for the last scores, beside the few that are always kept.
    """

    seconds: float | None = None
    max_evaluations: int | None = None
    clock: Callable[[], float] = time.monotonic
    started: float | None = None
    evaluations: int = 0
    others: int = 0
    reserve: float = 0.0
    _began: float = field(init=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)

    def __post_init__(self) -> None:
        if self.seconds is None and self.max_evaluations is None:
            raise ValueError("a budget needs seconds, evaluations, or both")
        self._began = self.clock() if self.started is None else self.started

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock() - self._began

    @property
    def remaining(self) -> float | None:
        """Seconds left of the whole run, not below zero; ``None`` where time is not limited."""
        return None if self.seconds is None else max(0.0, self.seconds - self.elapsed)

    @property
    def limits(self) -> Limits:
        """How far the search may go."""
        return Limits(self.seconds, self.max_evaluations, self.reserve)

    def align(self, elapsed: float) -> None:
        """Let the clock say that so many seconds have passed, as a clock that all share does."""
        self._began = self.clock() - elapsed

    def spend(self, evaluations: int) -> None:
        """Count strings that were encoded."""
        self.evaluations += evaluations

    def stop(self) -> None:
        """End the search at its next step; safe in a signal handler and from another thread."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether somebody asked for the end."""
        return self._stop.is_set()

    def expired(self) -> bool:
        """Tell whether no further step may start."""
        return self.stopped or self.fraction() >= 1.0

    def fraction(self) -> float:
        """Return the share spent, within [0, 1]: the larger of time's and evaluations'.

        With a limit on evaluations alone it does not depend on the clock, which makes such a
        run repeatable.
        """
        return self.limits.fraction(self.elapsed, self.evaluations + self.others)
