"""From rows to scenes: retrieve, make candidates, and compare them with everything known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import Rows
from mean_prompt.hybrid.candidates import Candidate, CandidateFactory, CandidateInputs, Choice
from mean_prompt.hybrid.keys import RowVectors, normalized
from mean_prompt.hybrid.posterior import (
    Near,
    RowCandidates,
    Terms,
    expected_known,
    mean_scs,
    signs_of,
)
from mean_prompt.hybrid.retrieval import Neighbourhood, Retriever
from mean_prompt.hybrid.space import Space
from mean_prompt.hybrid.submission import is_null_to_pandas
from mean_prompt.objective import Objective, Vectors
from mean_prompt.system import Clock

#: Predictions of one row that are put to use, the likeliest first.
MOST_PREDICTIONS = 4

Texts = tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedRows:
    """Rows as vectors, with their predictions.

    Attributes:
        vectors: of the n rows' texts, and of their predictions where all rows have one.
        predictions: cleaned texts of each row; empty where it has none.
        samples: (m, d) vectors of them, row by row.
    """

    vectors: RowVectors
    predictions: tuple[Texts, ...]
    samples: tuple[Vectors, ...]

    @classmethod
    def embed(
        cls,
        rows: Rows,
        predictions: Sequence[Sequence[str]] | None,
        space: Space,
        clock: Clock | None = None,
    ) -> EmbeddedRows:
        """Embed rows and predictions: the long texts, which only say where to look, roughly.

        Raises:
            ValueError: there are not as many predictions as rows.
            OutOfTimeError: the clock ran out.
        """
        given = one_for_each(rows, predictions)
        texts = tuple(tuple(some)[:MOST_PREDICTIONS] for some in given)
        flat = space.exact([text for some in texts for text in some], "predictions", clock)
        ends = np.cumsum([len(some) for some in texts])
        samples = tuple(np.split(flat, ends[:-1])) if texts else ()
        both = space.screened([*rows.originals, *rows.rewritten], "texts", clock)
        means = None
        if texts and all(texts):
            means = normalized(np.stack([part.mean(axis=0) for part in samples]))
        vectors = RowVectors(both[: len(rows)], both[len(rows) :], means)
        return cls(vectors, texts, samples)

    def __len__(self) -> int:
        return len(self.vectors)

    def with_prediction(self) -> NDArray[np.int64]:
        """Return the numbers of rows that have a prediction."""
        return np.flatnonzero([bool(texts) for texts in self.predictions])

    def take(self, numbers: NDArray[np.int64]) -> EmbeddedRows:
        """Return some of the rows; where all of them have predictions, so have their vectors."""
        samples = tuple(self.samples[row] for row in numbers)
        texts = tuple(self.predictions[row] for row in numbers)
        vectors = self.vectors.take(numbers)
        if vectors.predictions is None and texts and all(texts):
            means = normalized(np.stack([part.mean(axis=0) for part in samples]))
            vectors = RowVectors(vectors.originals, vectors.rewritten, means)
        return EmbeddedRows(vectors, texts, samples)

    def without_predictions(self) -> EmbeddedRows:
        """Return the texts alone."""
        none = np.empty((0, self.vectors.originals.shape[1]), np.float32)
        count = len(self)
        return EmbeddedRows(self.vectors.without_predictions(), ((),) * count, (none,) * count)


class SceneBuilder:
    """Sets scenes up.

    Args:
        space: the model.
        kitchen: makes candidates.
        by_text: finds prompts by the texts alone.
        by_all: finds them by texts and prediction; ``None`` where predictions are not used.
        objectives: expected SCS over the known prompts, and over a corpus where there is one.
        max_tokens: candidates with more are left out.
    """

    def __init__(
        self,
        space: Space,
        kitchen: CandidateFactory,
        by_text: Retriever,
        by_all: Retriever | None,
        objectives: Sequence[Objective],
        max_tokens: int,
    ) -> None:
        self._space = space
        self._kitchen = kitchen
        self._by_text = by_text
        self._by_all = by_all
        self._objectives = objectives
        self._max_tokens = max_tokens

    def scenes(
        self, rows: EmbeddedRows, choice: Choice | None = None, clock: Clock | None = None
    ) -> list[RowCandidates]:
        """Return one scene a row; with predictions, every row must have one.

        Args:
            rows: what is to be answered.
            choice: which candidates are made; all when left out.
            clock: is asked while candidates are encoded.

        Raises:
            OutOfTimeError: the clock ran out.
        """
        if not len(rows):
            return []
        by_text = self._by_text.look(rows.vectors)
        by_all = self._by_all.look(rows.vectors) if self._by_all else None
        made = [
            self._kitchen.candidates(self._ingredients(rows, row, by_text, by_all), choice)
            for row in range(len(rows))
        ]
        kept = self._within_budget(made)
        texts = list(dict.fromkeys(one.text for row in kept for one in row))
        place = {text: number for number, text in enumerate(texts)}
        vectors = self._space.screened(texts, "candidates", clock)
        known = expected_known(vectors, self._objectives)
        return [
            self._scene(rows, row, kept[row], vectors, known, place, by_text, by_all)
            for row in range(len(rows))
        ]

    def nearest(self, rows: EmbeddedRows) -> list[str]:
        """Return the known prompt nearest to where each row's texts point.

        The universal string where no neighbour is found.
        """
        found = self._by_text.look(rows.vectors, 1)
        universal = self._kitchen.universal
        return [
            next(iter(_prompts(self._by_text, found, row)), universal) for row in range(len(rows))
        ]

    def _ingredients(
        self, rows: EmbeddedRows, row: int, by_text: Neighbourhood, by_all: Neighbourhood | None
    ) -> CandidateInputs:
        return CandidateInputs(
            rows.predictions[row] if by_all else (),
            _prompts(self._by_text, by_text, row),
            _prompts(self._by_all, by_all, row) if self._by_all and by_all else (),
        )

    def _within_budget(self, made: Sequence[Sequence[Candidate]]) -> list[list[Candidate]]:
        """Drop what is too long to be answered, or would be read back as no answer at all."""
        texts = list(dict.fromkeys(one.text for row in made for one in row))
        counts = self._space.tokens(texts)
        fits = {
            text
            for text, count in zip(texts, counts, strict=True)
            if count <= self._max_tokens and not is_null_to_pandas(text)
        }
        return [[one for one in row if one.text in fits] for row in made]

    def _scene(
        self,
        rows: EmbeddedRows,
        row: int,
        candidates: Sequence[Candidate],
        vectors: Vectors,
        known: Terms,
        place: dict[str, int],
        by_text: Neighbourhood,
        by_all: Neighbourhood | None,
    ) -> RowCandidates:
        numbers = [place[one.text] for one in candidates]
        own = vectors[numbers]
        near_all = llm = signs = None
        if self._by_all is not None and by_all is not None:
            assert rows.vectors.predictions is not None
            near_all = Near.of(own, by_all, row, self._by_all.bank)
            llm = mean_scs(own, rows.samples[row])
            signs = signs_of(
                rows.vectors.predictions[row],
                by_text.centres[row],
                rows.vectors.originals[row],
                rows.vectors.rewritten[row],
                self._by_text.bank,
            )
        return RowCandidates(
            candidates=candidates,
            vectors=own,
            by_text=Near.of(own, by_text, row, self._by_text.bank),
            by_all=near_all,
            llm=llm,
            known=known[numbers],
            signs=signs,
        )


def one_for_each(
    rows: Rows, predictions: Sequence[Sequence[str]] | None
) -> Sequence[Sequence[str]]:
    """Return the predictions of each row; none where there are none at all.

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


def _prompts(retriever: Retriever, found: Neighbourhood, row: int) -> list[str]:
    """Return a row's distinct neighbours, the nearest first."""
    numbers = [int(number) for number in found.numbers[row] if number >= 0]
    return [retriever.bank.prompts[number] for number in dict.fromkeys(numbers)]
