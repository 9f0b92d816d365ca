"""A time limit that long-running work checks before each step, and that can be ended early."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class OutOfTimeError(Exception):
    """Raised if a deadline passed before the work was done; what was computed is kept."""


class Deadline:
    """A wall-clock limit for work, which a signal handler or another thread can end early.

    Args:
        limit: seconds from ``started``; ``None`` for no limit.
        started: when the time began, by ``clock``. Default: now.
        clock: returns a monotonic time in seconds.
        parent: another deadline, whose end ends this deadline too.
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
        self._stop = False

    @property
    def elapsed(self) -> float:
        """Seconds since the deadline's start."""
        return self._clock() - self.started

    @property
    def remaining(self) -> float:
        """Seconds until the deadline, at least zero; infinite without a limit."""
        own = math.inf if self.limit is None else max(0.0, self.limit - self.elapsed)
        return own if self._parent is None else min(own, self._parent.remaining)

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called on this deadline or a parent."""
        return self._stop or (self._parent is not None and self._parent.stopped)

    @property
    def expired(self) -> bool:
        """Whether the work must end: its time is over or it was stopped."""
        return self.stopped or self.remaining <= 0

    def stop(self) -> None:
        """Ask the work to end at its next step; safe in a signal handler or another thread."""
        self._stop = True

    def check(self) -> None:
        """Raise :class:`OutOfTimeError` if the deadline has passed or was stopped."""
        if self.expired:
            raise OutOfTimeError

    def share(self, fraction: float) -> Deadline:
        """Return a deadline that ends after a fraction of the remaining time, or with this one."""
        left = self.remaining
        limit = None if math.isinf(left) else fraction * left
        return Deadline(limit, clock=self._clock, parent=self)
