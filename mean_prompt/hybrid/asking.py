"""Asking an LLM: what it is shown, about known rows, and about test rows in a thread of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import Rows, Triples
from mean_prompt.hybrid.few_shot import Shots
from mean_prompt.hybrid.predictor import LEAST_PREDICTED
from mean_prompt.hybrid.scenes import EmbeddedRows
from mean_prompt.hybrid.space import Space
from mean_prompt.llm import Example, Prediction, Predictor
from mean_prompt.system import Clock, Deadline

#: Seconds waited for predictions before the clock is asked again.
_PATIENCE: Final = 0.25


def ask_known(
    llm: Predictor,
    rows: Rows,
    shown: Sequence[Sequence[Example]] | None,
    clock: Clock,
    *,
    settled: int,
) -> list[Prediction]:
    """Ask about known rows; give up where so many as are needed would take too long.

    Args:
        llm: is asked.
        rows: to ask about.
        shown: examples for each.
        clock: of the asking.
        settled: answers after which their pace is known.

    Returns:
        The predictions that hold one; too few to learn from where the time did not suffice.
    """
    began, allowed = time.monotonic(), clock.remaining
    found: list[Prediction] = []
    for prediction in llm.predict(rows, shown, deadline=_deadline(clock)):
        found.append(prediction)
        each = (time.monotonic() - began) / len(found)
        hopeless = len(found) >= settled and each * LEAST_PREDICTED > allowed
        if hopeless or clock.expired():
            break
    return [one for one in found if one.texts]


class Examples:
    """Known rows to show to an LLM, for any rows."""

    def __init__(self, triples: Triples, space: Space, count: int, clock: Clock) -> None:
        self._space = space
        self._clock = clock
        vectors = EmbeddedRows.embed(triples.rows, None, self._space, clock).vectors
        self._shots = Shots(triples, vectors, count)

    def of(self, rows: Rows, own_groups: NDArray[np.int64] | None = None) -> list[list[Example]]:
        """Return the examples of each row; those of its own group are not shown."""
        vectors = EmbeddedRows.embed(rows, None, self._space, self._clock).vectors
        return self._shots.examples(vectors, own_groups)


class PredictionQueue:
    """Predictions of test rows, asked for in a thread of their own."""

    def __init__(self, llm: Predictor, clock: Clock) -> None:
        self._llm = llm
        self._clock = clock
        self._letters: queue.Queue[Prediction | Exception | None] = queue.Queue()
        self._closed = threading.Event()
        self.asked = 0

    def ask(self, rows: Rows, shown: list[list[Example]] | None, numbers: Sequence[int]) -> None:
        """Begin to ask; ``numbers`` are the rows' numbers in the test file."""
        self.asked = len(numbers)
        deadline = _deadline(self._clock)

        def work() -> None:
            try:
                for one in self._llm.predict(rows, shown, deadline=deadline):
                    number = numbers[one.row]
                    self._letters.put(Prediction(number, one.texts, one.fault))
                    if self._closed.is_set():
                        break
                self._letters.put(None)
            except Exception as error:  # noqa: BLE001  raised where the letters are taken
                self._letters.put(error)

        threading.Thread(target=work, name="llm", daemon=True).start()

    def take(self, most: int, *, wait: bool = True) -> list[Prediction]:
        """Return predictions that have arrived; empty after the last.

        Args:
            most: predictions to return.
            wait: for the first to arrive; without it the clock does not matter.

        Raises:
            OutOfTimeError: the clock ran out before one arrived.
            InputError: nothing can be asked at all.
            Exception: whatever else ended the asking, after the predictions before it.
        """
        letters: list[Prediction] = []
        for letter in self._arriving(wait):
            if letter is None or isinstance(letter, Exception):
                self._letters.put(letter)  # for the next call
                if letter is not None and not letters:
                    raise letter
                break
            letters.append(letter)
            if len(letters) == most or self._letters.empty():
                break
        return letters

    def close(self) -> None:
        """End the asking at its next row."""
        self._closed.set()

    def _arriving(self, wait: bool) -> Iterator[Prediction | Exception | None]:
        while True:
            if wait:
                self._clock.check()
            try:
                yield self._letters.get(wait, _PATIENCE)
            except queue.Empty:
                if not wait:
                    return


def _deadline(clock: Clock) -> Deadline:
    left = clock.as_deadline()
    return Deadline(None if left is None else clock.remaining)
