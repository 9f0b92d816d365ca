"""Ending long work on a signal, so that it can save what it has."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol


class Stoppable(Protocol):
    """Work that can be ended early, such as a deadline."""

    def stop(self) -> None:
        """End the work at its next step."""


@contextmanager
def stopping(work: Stoppable) -> Iterator[None]:
    """Stop work on the first SIGINT or SIGTERM; a second one has its usual effect.

    In another thread than the main one this does nothing, since signals do not reach it.
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
