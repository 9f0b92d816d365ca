"""Queries an LLM for test rows' prompts in a thread, and chooses its few-shot examples."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Final, Self

import numpy as np

from mean_prompt.corpus import Rows, Triples
from mean_prompt.encoder import EmbeddingSpace
from mean_prompt.hybrid.index import VectorIndex
from mean_prompt.hybrid.retrieval import Numbers
from mean_prompt.llm import Example, Prediction, Predictor
from mean_prompt.objective import Vectors, normalized
from mean_prompt.system import Deadline

#: Seconds waited for predictions before the deadline is checked again.
_WAIT: Final = 0.25
#: Neighbours looked up for each example, since only one of those with the same prompt is shown.
_SPARE: Final = 8


class PredictionQueue:
    """An LLM's predictions of test rows' prompts, queued by a thread as they arrive.

    After the deadline the LLM is asked about no further row, and no call waits.
    """

    def __init__(self, deadline: Deadline) -> None:
        self.asked = 0
        self._deadline = deadline
        self._items: queue.Queue[Prediction | Exception | None] = queue.Queue()
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop querying the LLM after its next prediction."""
        self._closed.set()

    def ask(
        self,
        llm: Predictor,
        rows: Rows,
        examples: Sequence[Sequence[Example]] | None,
        numbers: Sequence[int],
    ) -> None:
        """Start querying the LLM for rows; ``numbers`` are their numbers in the test file."""
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
        """Return at most ``most`` predictions that have arrived; none after the last one.

        If ``wait`` is true, block until one arrives; else return at once, whatever the deadline.

        Raises:
            OutOfTimeError: the deadline expired before a prediction arrived.
            Exception: the error that ended the queries, once earlier predictions were returned.
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


class Examples:
    """Chooses few-shot examples for an LLM: the rows with given prompts most similar to a row."""

    def __init__(
        self, triples: Triples, space: EmbeddingSpace, count: int, deadline: Deadline | None = None
    ) -> None:
        self._triples = triples
        self._groups = triples.groups()
        self._space = space
        self._count = count
        self._deadline = deadline
        self._index = VectorIndex(self._features(triples.rows))

    def of(self, rows: Rows, own_groups: Numbers | None = None) -> list[list[Example]]:
        """Return the few-shot examples for each of n rows, the most similar first.

        If the rows are known rows themselves, ``own_groups`` are the (n,) group numbers of their
        prompts: no example has the same prompt as the row.
        """
        _, numbers = self._index.search(self._features(rows), self._count * _SPARE)
        own = np.full(len(rows), -1) if own_groups is None else own_groups
        return [self._choose(found, int(group)) for found, group in zip(numbers, own, strict=True)]

    def _features(self, rows: Rows) -> Vectors:
        texts = [*rows.originals, *rows.rewritten]
        originals, rewritten = np.split(self._space.screened(texts, "texts", self._deadline), 2)
        return normalized(np.concatenate([rewritten, rewritten - originals], axis=1))

    def _choose(self, found: Numbers, own: int) -> list[Example]:
        rows = self._triples.rows
        chosen: dict[int, Example] = {}
        for number in found:
            group = int(self._groups[number])
            if number < 0 or group == own or group in chosen:
                continue
            chosen[group] = Example(
                rows.originals[number], rows.rewritten[number], self._triples.prompts[number]
            )
            if len(chosen) == self._count:
                break
        return list(chosen.values())
