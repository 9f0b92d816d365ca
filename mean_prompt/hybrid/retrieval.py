"""Where rows' prompts are expected, and the known prompts (of rows with a given one) around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from mean_prompt.corpus import Rows, Triples, same_prompt
from mean_prompt.hybrid.index import VectorIndex
from mean_prompt.hybrid.settings import MOST_NEIGHBOURS
from mean_prompt.objective import Vectors, normalized
from mean_prompt.system import Deadline, InputError
from mean_prompt.training import (
    MOST_PREDICTIONS,
    Forecast,
    Row,
    VectorPredictor,
    rows_of,
)

Numbers = NDArray[np.int64]
Texts = Sequence[Sequence[str]]

_FOLDS: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedRows:
    """Rows with the vectors that their prompts are expected at, and those of predictions.

    Attributes:
        rows: the texts, and how known rows are worded.
        originals, rewritten: (n, d) vectors of the texts before and after the rewrite.
        predictions: cleaned predictions of each row, the likeliest first.
        samples: (m, d) vectors of each row's m predictions.
        by_text: forecast of the prompts by the texts alone.
        by_all: the same by texts and predictions; as ``by_text`` for a row without one.
    """

    rows: tuple[Row, ...]
    originals: Vectors
    rewritten: Vectors
    predictions: tuple[tuple[str, ...], ...]
    samples: tuple[Vectors, ...]
    by_text: Forecast
    by_all: Forecast

    @classmethod
    def embed(
        cls,
        rows: Rows,
        predictions: Texts | None,
        predictor: VectorPredictor,
        *,
        known: bool = False,
        deadline: Deadline | None = None,
    ) -> EmbeddedRows:
        """Embed rows' texts and predictions, and forecast their prompts.

        If ``known``, rows that the predictor was fitted to are forecast by those of other prompts.
        """
        space = predictor.space
        texts = tuple(tuple(some)[:MOST_PREDICTIONS] for some in one_for_each(rows, predictions))
        flat = space.exact([text for some in texts for text in some], "predictions", deadline)
        both = space.screened([*rows.originals, *rows.rewritten], "texts", deadline)
        by_text, by_all = predictor.forecasts(rows, texts, known=known, deadline=deadline)
        return cls(
            tuple(rows_of(rows, texts, predictor.wording_)),
            both[: len(rows)],
            both[len(rows) :],
            texts,
            tuple(np.split(flat, np.cumsum([len(some) for some in texts])[:-1])),
            by_text,
            by_all,
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def means(self) -> Vectors:
        """(n, d) normalised mean of each row's predictions; zeros for a row without one."""
        means = np.zeros_like(self.originals)
        for row, part in enumerate(self.samples[: len(self)]):
            if len(part):
                means[row] = part.mean(axis=0)
        return normalized(means)

    def with_prediction(self) -> Numbers:
        """Return the numbers of the rows that have a prediction."""
        return np.flatnonzero([bool(texts) for texts in self.predictions])

    def take(self, numbers: Numbers) -> EmbeddedRows:
        """Return the rows with the given numbers, in that order."""
        return EmbeddedRows(
            tuple(self.rows[row] for row in numbers),
            self.originals[numbers],
            self.rewritten[numbers],
            tuple(self.predictions[row] for row in numbers),
            tuple(self.samples[row] for row in numbers),
            self.by_text.take(numbers),
            self.by_all.take(numbers),
        )


@dataclass(frozen=True, slots=True, eq=False)
class KnownRows:
    """Known rows, that is, rows whose true prompt is given, embedded once for all fits.

    Attributes:
        targets: (n, d) vectors of the true prompts.
        groups: (n,) group numbers; rows with near-duplicate prompts share a number.
        cut: number of texts that are longer than the model reads.
    """

    rows: EmbeddedRows
    prompts: tuple[str, ...]
    targets: Vectors
    groups: Numbers
    cut: int = 0

    @classmethod
    def embed(
        cls,
        triples: Triples,
        predictions: Texts | None,
        predictor: VectorPredictor,
        deadline: Deadline | None = None,
    ) -> KnownRows:
        """Embed the texts, true prompts and LLM predictions of known rows."""
        space = predictor.space
        rows = EmbeddedRows.embed(
            triples.rows, predictions, predictor, known=True, deadline=deadline
        )
        targets = space.exact(triples.prompts, "prompts", deadline)
        cut = space.cut([*triples.rows.originals, *triples.rows.rewritten])
        return cls(rows, triples.prompts, targets, triples.near_groups(), cut)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, numbers: Numbers) -> KnownRows:
        """Return the known rows with the given numbers."""
        prompts = tuple(self.prompts[row] for row in numbers)
        return KnownRows(
            self.rows.take(numbers), prompts, self.targets[numbers], self.groups[numbers]
        )


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """The distinct true prompts of known rows, with their vectors.

    Attributes:
        prompts, vectors: b texts and (b, d) vectors.
        groups: (b,) group numbers, which near-duplicates share.
    """

    prompts: tuple[str, ...]
    vectors: Vectors
    groups: Numbers

    @classmethod
    def of(cls, known: KnownRows) -> Bank:
        """Return the bank of the distinct prompts of known rows, in their order."""
        first: dict[str, int] = {}
        for row, prompt in enumerate(known.prompts):
            first.setdefault(same_prompt(prompt), row)
        rows = np.array(list(first.values()))
        prompts = tuple(known.prompts[row] for row in rows)
        return cls(prompts, known.targets[rows], known.groups[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourhood:
    """The known prompts nearest to where the prompts of m rows are expected.

    Attributes:
        centres: (m, d) unit vectors at which the true prompts are expected.
        numbers: (m, k) indices of the bank's nearest prompts, best first; -1 for none.
        cosines: (m, k) cosines of the centres with them.
    """

    centres: Vectors
    numbers: Numbers
    cosines: Vectors


def softmax_weights(
    cosines: NDArray[np.floating], numbers: Numbers, temperature: float
) -> NDArray[np.float64]:
    """Return softmax(cosine / temperature) along the last axis; entries numbered -1 weigh 0."""
    there = np.where(numbers >= 0, cosines.astype(np.float64), -np.inf)
    top = there.max(axis=-1, keepdims=True, initial=-np.inf)
    with np.errstate(over="ignore"):  # at a temperature near 0 the nearest one has it all
        raised = np.exp((there - np.where(np.isfinite(top), top, 0.0)) / temperature)
    totals = raised.sum(axis=-1, keepdims=True)
    shares: NDArray[np.float64] = raised / np.where(totals > 0, totals, 1.0)
    return shares


class Retriever:
    """Finds the known prompts nearest to given vectors."""

    def __init__(self, known: KnownRows) -> None:
        self.bank = Bank.of(known)
        self.index = VectorIndex(self.bank.vectors)
        self._largest = int(np.bincount(self.bank.groups).max())

    def retrieve(
        self, centres: Vectors, k: int = MOST_NEIGHBOURS, *, own: Numbers | None = None
    ) -> Neighbourhood:
        """Return the k known prompts nearest to (m, d) unit vectors.

        ``own`` are the (m,) groups of rows that are known themselves: prompts of the same group
        are left out.
        """
        spare = 0 if own is None else self._largest
        cosines, numbers = self.index.search(centres, k + spare)
        if own is not None:
            left_out = (numbers >= 0) & (self.bank.groups[numbers] == own[:, None])
            numbers, cosines = np.where(left_out, -1, numbers), np.where(left_out, -1.0, cosines)
            order = np.argsort(numbers < 0, axis=1, kind="stable")[:, :k]
            numbers = np.take_along_axis(numbers, order, axis=1)
            cosines = np.take_along_axis(cosines, order, axis=1)
        return Neighbourhood(centres, numbers, cosines.astype(np.float32))

    def prompts(self, found: Neighbourhood, row: int) -> list[str]:
        """Return the prompts among a row's neighbours, the nearest first."""
        return [self.bank.prompts[number] for number in found.numbers[row] if number >= 0]


def grouped_folds(groups: Numbers, *, seed: int = 0) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield (training, test) row numbers of folds that test each row once and split no group."""
    count = min(_FOLDS, len(np.unique(groups)))
    if count < 2:
        raise InputError(
            "triples must have at least two different prompts, to test on rows of prompts that "
            f"were not fitted: found {count} in {len(groups)} rows; give more"
        )
    folds = GroupKFold(count, shuffle=True, random_state=seed)
    yield from folds.split(np.zeros(len(groups)), groups=groups)


def one_for_each(rows: Rows, predictions: Texts | None) -> Texts:
    """Return each row's predictions, empty ones if none are given; check their number."""
    given = predictions or [()] * len(rows)
    if len(given) != len(rows):
        raise ValueError(
            f"each row must have its predictions, or none: found {len(rows):,} rows and "
            f"{len(given):,} of predictions"
        )
    return given
