"""A time limit that long work asks before each step, and a way to end it early."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable


class OutOfTimeError(Exception):
    """The deadline passed before the work was done; what was computed is kept."""


class Deadline:
    """A wall-clock limit, which work asks and which a signal or another thread can end early.

    Args:
        limit: seconds from ``started``; ``None`` for no limit.
        started: when the time began, by ``clock``; now, when left out.
        clock: in seconds, never going back.
        parent: another deadline, whose end ends this one.

    Attributes:
        limit: as given.
        started: when the time began, by the clock.
    """

    def __init__(
        self,
        limit: float | None = None,
        *,
        started: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        parent: Deadline | None = None,
    ) -> None:
        self.limit = limit
        self._clock = clock
        self.started = clock() if started is None else started
        self._parent = parent
        self._stop = threading.Event()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self.started

    @property
    def remaining(self) -> float:
        """Seconds left, not below zero; infinite without a limit."""
        own = math.inf if self.limit is None else max(0.0, self.limit - self.elapsed)
        return own if self._parent is None else min(own, self._parent.remaining)

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stop.is_set() or (self._parent is not None and self._parent.stopped)

    @property
    def expired(self) -> bool:
        """Whether no further step may start."""
        return self.stopped or self.remaining <= 0

    def stop(self) -> None:
        """End the work at its next step; safe in a signal handler and from another thread."""
        self._stop.set()

    def check(self) -> None:
        """Raise :class:`OutOfTimeError` if no further step may start."""
        if self.expired:
            raise OutOfTimeError

    def share(self, fraction: float) -> Deadline:
        """Return a deadline that ends when this fraction of the time left is spent.

        Stopping this one, or its end, ends that one too.
        """
        left = self.remaining
        limit = None if math.isinf(left) else fraction * left
        return Deadline(limit, clock=self._clock, parent=self)
