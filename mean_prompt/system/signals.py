"""Ending long work on a signal, with all of it saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol


class Stoppable(Protocol):
    """Work that ends at its next step once it was told to."""

    def stop(self) -> None:
        """End at the next step."""


@contextmanager
def stopping(work: Stoppable) -> Iterator[None]:
    """Let SIGINT and SIGTERM stop some work; a second signal goes where the first would have.

    Signals reach the main thread only; elsewhere there is nothing to set up.
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
