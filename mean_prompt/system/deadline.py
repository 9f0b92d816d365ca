"""A time limit that long work asks."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


class OutOfTimeError(Exception):
    """The time limit came before the work was done; what was computed is kept."""


@dataclass(slots=True)
class Clock:
    """A time limit that long work asks.

    Attributes:
        deadline: by ``time.monotonic``; infinite without a limit.
        stopped: whether somebody asked to end early.
    """

    deadline: float = float("inf")
    stopped: bool = False
    began: float = field(default_factory=time.monotonic)
    _parent: Clock | None = None

    @property
    def remaining(self) -> float:
        """Seconds left; infinite without a limit."""
        return self.deadline - time.monotonic()

    def expired(self) -> bool:
        """Tell whether the work is to end now."""
        over = self.stopped or self.remaining <= 0
        return over or (self._parent is not None and self._parent.expired())

    def as_deadline(self) -> float | None:
        """Return the deadline, or ``None`` without a limit."""
        return None if self.deadline == float("inf") else self.deadline

    def stop(self) -> None:
        """End the work at its next step."""
        self.stopped = True

    def check(self) -> None:
        """Raise :class:`OutOfTimeError` where the work is to end now."""
        if self.expired():
            raise OutOfTimeError

    def until(self, share: float) -> Clock:
        """Return a clock that ends when this share of the time left is gone."""
        deadline = time.monotonic() + share * max(self.remaining, 0.0)
        return Clock(deadline, began=self.began, _parent=self)
