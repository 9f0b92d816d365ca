"""Asking an LLM about test rows in a thread of its own, so that other work goes on meanwhile."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Final, Self

from mean_prompt.corpus import Rows
from mean_prompt.llm import Example, Prediction, Predictor
from mean_prompt.system import Deadline

#: Seconds waited for predictions before the deadline is checked again.
_WAIT: Final = 0.25


class PredictionQueue:
    """Predictions of test rows, in the order in which they arrive.

    Args:
        deadline: the LLM asks no row after it, and no call waits beyond it.

    Attributes:
        asked: number of rows that were asked about.
    """

    def __init__(self, deadline: Deadline) -> None:
        self.asked = 0
        self._deadline = deadline
        self._items: queue.Queue[Prediction | Exception | None] = queue.Queue()
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """End the asking at its next row."""
        self._closed.set()

    def ask(
        self,
        llm: Predictor,
        rows: Rows,
        examples: Sequence[Sequence[Example]] | None,
        numbers: Sequence[int],
    ) -> None:
        """Start to ask; ``numbers`` are the rows' numbers in the test file."""
        self.asked = len(numbers)

        def work() -> None:
            try:
                for one in llm.predict(rows, examples, deadline=self._deadline):
                    self._items.put(Prediction(numbers[one.row], one.texts, one.fault))
                    if self._closed.is_set():
                        break
                self._items.put(None)
            except Exception as error:  # noqa: BLE001  raised by take
                self._items.put(error)

        threading.Thread(target=work, name="llm", daemon=True).start()

    def take(self, most: int, *, wait: bool = True) -> list[Prediction]:
        """Return predictions that have arrived; empty after the last.

        Args:
            most: number of predictions to return.
            wait: whether to wait for the first; without it the deadline does not matter.

        Raises:
            OutOfTimeError: the deadline expired before one arrived.
            InputError: nothing can be asked at all.
            Exception: whatever else ended the asking, after the predictions before it.
        """
        found: list[Prediction] = []
        for item in self._arriving(wait) if self.asked else ():
            if item is None or isinstance(item, Exception):
                self._items.put(item)  # for the next call
                if item is not None and not found:
                    raise item
                break
            found.append(item)
            if len(found) == most or self._items.empty():
                break
        return found

    def _arriving(self, wait: bool) -> Iterator[Prediction | Exception | None]:
        while True:
            if wait:
                self._deadline.check()
            try:
                yield self._items.get(wait, _WAIT)
            except queue.Empty:
                if not wait:
                    return
