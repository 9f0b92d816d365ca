"""Ending long-running work on SIGINT or SIGTERM, so that it can save its results."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol


class Stoppable(Protocol):
    """Protocol of an object that ends work early, such as a deadline."""

    def stop(self) -> None:
        """Ask the work to end at its next step."""


@contextmanager
def stopping(work: Stoppable) -> Iterator[None]:
    """Call ``work.stop()`` on the first SIGINT or SIGTERM; a second one has its usual effect.

    Outside the main thread this does nothing, since signals do not reach other threads.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}

    def stop(number: int, _frame: FrameType | None) -> None:
        work.stop()
        signal.signal(number, before[number])

    for number in map(int, (signal.SIGINT, signal.SIGTERM)):
        before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
