"""Known rows that an LLM is shown before the row that it is asked about."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import Triples
from mean_prompt.hybrid.index import VectorIndex
from mean_prompt.hybrid.keys import RowVectors, normalized
from mean_prompt.llm import Example

#: Neighbours looked up for each that is shown: those of one prompt are shown once.
_SPARE = 8


class Shots:
    """Chooses the known rows most like a row, of different prompts.

    Args:
        triples: known rows.
        vectors: of their texts.
        count: rows to show.
    """

    def __init__(self, triples: Triples, vectors: RowVectors, count: int) -> None:
        self._triples = triples
        self._groups = triples.groups()
        self._count = count
        self._index = VectorIndex(_keys(vectors))

    def examples(
        self, rows: RowVectors, own_groups: NDArray[np.int64] | None = None
    ) -> list[list[Example]]:
        """Return the examples of each row, the nearest first.

        Args:
            rows: vectors of what is asked about.
            own_groups: (n,) number of the prompt that each row was itself made by, where the rows
                are known ones: no row of it is shown.
        """
        _, numbers = self._index.search(_keys(rows), self._count * _SPARE)
        own = np.full(len(rows), -1) if own_groups is None else own_groups
        return [self._choose(found, int(group)) for found, group in zip(numbers, own, strict=True)]

    def _choose(self, found: NDArray[np.int64], own: int) -> list[Example]:
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


def _keys(vectors: RowVectors) -> np.ndarray:
    return normalized(vectors.features(("rewritten", "difference")))
