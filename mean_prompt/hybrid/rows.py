"""Rows as vectors, and known rows with the vectors of their prompts.

Symbols used throughout:

    o, r, p   (d,)   unit vectors of a row's original text, rewritten text and prediction
    x         (f,)   the row's features: some of o, r, r - o and p, one after the other
    t         (d,)   unit vector of a true prompt
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import Rows, Triples
from mean_prompt.hybrid.settings import Part
from mean_prompt.hybrid.space import EmbeddingSpace
from mean_prompt.objective import Vectors
from mean_prompt.system import Deadline

Numbers = NDArray[np.int64]
Texts = Sequence[Sequence[str]]

#: Predictions of one row that are used, the likeliest first.
MOST_PREDICTIONS: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedRows:
    """Rows as vectors, with their predictions.

    Attributes:
        originals: (n, d) vectors of the texts before the rewrite.
        rewritten: (n, d) vectors of the texts after it.
        means: (n, d) normalised mean of each row's predictions; zeros for a row without one.
        predictions: cleaned predictions of each row; empty for a row without one.
        samples: (m, d) vectors of each row's m predictions.
    """

    originals: Vectors
    rewritten: Vectors
    means: Vectors
    predictions: tuple[tuple[str, ...], ...]
    samples: tuple[Vectors, ...]

    @classmethod
    def embed(
        cls,
        rows: Rows,
        predictions: Texts | None,
        space: EmbeddingSpace,
        deadline: Deadline | None = None,
    ) -> EmbeddedRows:
        """Embed rows and predictions; the long texts, which only guide retrieval, roughly.

        Raises:
            ValueError: there are not as many predictions as rows.
            OutOfTimeError: the deadline expired.
        """
        texts = tuple(tuple(some)[:MOST_PREDICTIONS] for some in one_for_each(rows, predictions))
        flat = space.exact([text for some in texts for text in some], "predictions", deadline)
        both = space.screened([*rows.originals, *rows.rewritten], "texts", deadline)
        samples = tuple(np.split(flat, np.cumsum([len(some) for some in texts])[:-1]))
        means = np.zeros((len(rows), space.dimension), np.float32)
        for row, part in enumerate(samples[: len(rows)]):
            if len(part):
                means[row] = part.mean(axis=0)
        return cls(both[: len(rows)], both[len(rows) :], normalized(means), texts, samples)

    def __len__(self) -> int:
        return len(self.originals)

    def with_prediction(self) -> Numbers:
        """Return the numbers of the rows that have a prediction."""
        return np.flatnonzero([bool(texts) for texts in self.predictions])

    def take(self, numbers: Numbers) -> EmbeddedRows:
        """Return some of the rows."""
        return EmbeddedRows(
            self.originals[numbers],
            self.rewritten[numbers],
            self.means[numbers],
            tuple(self.predictions[row] for row in numbers),
            tuple(self.samples[row] for row in numbers),
        )

    def features(self, parts: Sequence[Part]) -> Vectors:
        """Return x of every row: (n, d · parts)."""
        columns = {
            "original": self.originals,
            "rewritten": self.rewritten,
            "difference": self.rewritten - self.originals,
            "prediction": self.means,
        }
        return np.concatenate([columns[part] for part in parts], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class KnownRows:
    """Rows whose prompts are known, embedded once for all that is fitted on them.

    Attributes:
        rows: the n rows.
        prompts: the true prompt of each.
        targets: (n, d) vectors of the prompts.
        groups: (n,) group numbers; equal prompts share one.
    """

    rows: EmbeddedRows
    prompts: tuple[str, ...]
    targets: Vectors
    groups: Numbers

    @classmethod
    def embed(
        cls,
        triples: Triples,
        predictions: Texts | None,
        space: EmbeddingSpace,
        deadline: Deadline | None = None,
    ) -> KnownRows:
        """Embed triples; raises as :meth:`EmbeddedRows.embed`."""
        groups = triples.groups()
        rows = EmbeddedRows.embed(triples.rows, predictions, space, deadline)
        targets = space.exact(triples.prompts, "prompts", deadline)
        return cls(rows, triples.prompts, targets, groups)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, numbers: Numbers) -> KnownRows:
        """Return some of the rows."""
        prompts = tuple(self.prompts[row] for row in numbers)
        return KnownRows(
            self.rows.take(numbers), prompts, self.targets[numbers], self.groups[numbers]
        )


def one_for_each(rows: Rows, predictions: Texts | None) -> Texts:
    """Return the predictions of each row, empty ones if there are none at all.

    Raises:
        ValueError: there are not as many as rows.
    """
    given = predictions or [()] * len(rows)
    if len(given) != len(rows):
        raise ValueError(
            f"each row must have its predictions, or none: found {len(rows):,} rows and "
            f"{len(given):,} of predictions"
        )
    return given


def normalized(rows: NDArray[np.floating]) -> Vectors:
    """Return rows scaled to unit length, in float32; a row of zeros stays one."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Vectors = (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled
