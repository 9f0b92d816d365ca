"""Known rows that an LLM is shown before the row that it is asked about."""

from __future__ import annotations

from typing import Final

import numpy as np

from mean_prompt.corpus import Rows, Triples
from mean_prompt.hybrid.index import VectorIndex
from mean_prompt.hybrid.retrieval import EmbeddedRows, Numbers, normalized
from mean_prompt.hybrid.space import EmbeddingSpace
from mean_prompt.llm import Example
from mean_prompt.objective import Vectors
from mean_prompt.system import Deadline

#: Neighbours looked up for each example: those of one prompt are shown once.
_SPARE: Final = 8


class Examples:
    """Chooses the known rows most like a row, of different prompts.

    Args:
        triples: known rows.
        space: the model's space.
        count: number of rows to show.
        deadline: checked while texts are embedded.
    """

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
        """Return the examples of each row, the nearest first.

        Args:
            rows: the rows to ask about.
            own_groups: (n,) group number of each row's own prompt, if the rows are known ones: no
                row of that prompt is shown.
        """
        _, numbers = self._index.search(self._features(rows), self._count * _SPARE)
        own = np.full(len(rows), -1) if own_groups is None else own_groups
        return [self._choose(found, int(group)) for found, group in zip(numbers, own, strict=True)]

    def _features(self, rows: Rows) -> Vectors:
        embedded = EmbeddedRows.embed(rows, None, self._space, self._deadline)
        return normalized(embedded.features(("rewritten", "difference")))

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
