"""Retrieves the prompts of known rows (rows with a given true prompt) that are like a row.

Symbols used throughout:

    o, r, p   (d,)   unit vectors of a row's original text, rewritten text and prediction
    x         (f,)   the row's features: some of o, r, r - o and p, one after the other
    t         (d,)   unit vector of a true prompt
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

from mean_prompt.corpus import Rows, Triples
from mean_prompt.encoder import EmbeddingSpace
from mean_prompt.hybrid.index import VectorIndex
from mean_prompt.hybrid.settings import MOST_NEIGHBOURS, Key, Part
from mean_prompt.objective import Vectors, sharpened_cosines
from mean_prompt.system import Deadline, InputError

Numbers = NDArray[np.int64]
Texts = Sequence[Sequence[str]]

#: Predictions of one row that are used, the likeliest first.
MOST_PREDICTIONS: Final = 4
#: Softmax temperature of the weights by which neighbours are averaged to a raw key's centre.
_CENTRE_TEMPERATURE: Final = 0.05
_FOLDS: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedRows:
    """Vectors of rows' original and rewritten texts and of LLM predictions of their prompts.

    Attributes:
        originals, rewritten: (n, d) vectors of the texts before and after the rewrite.
        means: (n, d) normalised mean of each row's predictions; zeros for a row without one.
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
        """Embed rows' texts, at lower precision as they only guide retrieval, and predictions."""
        texts = tuple(tuple(some)[:MOST_PREDICTIONS] for some in one_for_each(rows, predictions))
        flat = space.exact([text for some in texts for text in some], "predictions", deadline)
        both = space.screened([*rows.originals, *rows.rewritten], "texts", deadline)
        samples = tuple(np.split(flat, np.cumsum([len(some) for some in texts])[:-1]))
        means = np.zeros((len(rows), space.dimension), np.float32)
        for row, part in enumerate(samples[: len(rows)]):
            if len(part):
                means[row] = np.mean(part, axis=0)
        return cls(both[: len(rows)], both[len(rows) :], normalized(means), texts, samples)

    def __len__(self) -> int:
        return len(self.originals)

    def with_prediction(self) -> Numbers:
        """Return the numbers of the rows that have a prediction."""
        return np.flatnonzero([bool(texts) for texts in self.predictions])

    def take(self, numbers: Numbers) -> EmbeddedRows:
        """Return the rows with the given numbers, in that order."""
        return EmbeddedRows(
            self.originals[numbers],
            self.rewritten[numbers],
            self.means[numbers],
            tuple(self.predictions[row] for row in numbers),
            tuple(self.samples[row] for row in numbers),
        )

    def features(self, parts: Sequence[Part]) -> Vectors:
        """Return the feature vector x of every row, its concatenated parts: (n, d · parts)."""
        columns = {
            "original": self.originals,
            "rewritten": self.rewritten,
            "difference": self.rewritten - self.originals,
            "prediction": self.means,
        }
        return np.concatenate([columns[part] for part in parts], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class KnownRows:
    """Known rows, that is, rows whose true prompt is given, embedded once for all fits.

    Attributes:
        targets: (n, d) vectors of the true prompts.
        groups: (n,) group numbers; rows with equal prompts share a number.
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
        space: EmbeddingSpace,
        deadline: Deadline | None = None,
    ) -> KnownRows:
        """Embed the texts, true prompts and LLM predictions of known rows."""
        rows = EmbeddedRows.embed(triples.rows, predictions, space, deadline)
        targets = space.exact(triples.prompts, "prompts", deadline)
        cut = space.cut([*triples.rows.originals, *triples.rows.rewritten])
        return cls(rows, triples.prompts, targets, triples.groups(), cut)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, numbers: Numbers) -> KnownRows:
        """Return the known rows with the given numbers, their groups renumbered from 0."""
        seen: dict[int, int] = {}
        groups = [seen.setdefault(int(group), len(seen)) for group in self.groups[numbers]]
        prompts = tuple(self.prompts[row] for row in numbers)
        return KnownRows(
            self.rows.take(numbers), prompts, self.targets[numbers], np.array(groups, np.int64)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """The distinct true prompts of known rows, with their vectors.

    Attributes:
        prompts, vectors: b texts and (b, d) vectors, one for each group of equal prompts.
        prompt_of: (n,) index of each known row's prompt among these b.
    """

    prompts: tuple[str, ...]
    vectors: Vectors
    prompt_of: Numbers

    @classmethod
    def of(cls, known: KnownRows) -> Bank:
        """Return the bank of the distinct prompts of known rows."""
        _, first, prompt_of = np.unique(known.groups, return_index=True, return_inverse=True)
        return cls(tuple(known.prompts[row] for row in first), known.targets[first], prompt_of)


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourhood:
    """The known prompts nearest to m rows, and where the rows' own prompts are expected.

    Attributes:
        centres: (m, d) unit vectors at which the true prompts are expected; zeros if unknown.
        numbers: (m, k) indices of the bank's nearest prompts, best first; -1 for none.
        cosines: (m, k) cosines of the key with them.
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
    """Finds the known prompts nearest to a row by a key, which defines the features compared."""

    def __init__(self, key: Key, known: KnownRows) -> None:
        self.key = key
        self.bank = Bank.of(known)
        self._ridge: Ridge | None = None
        features = known.rows.features(key.parts)
        if key.kind == "ridge":
            targets = self.bank.vectors[self.bank.prompt_of]
            self._ridge = Ridge(alpha=key.alpha).fit(features, targets)
        self.index = VectorIndex(self.bank.vectors if self._ridge else normalized(features))

    def retrieve(self, rows: EmbeddedRows, k: int = MOST_NEIGHBOURS) -> Neighbourhood:
        """Return each row's k nearest known prompts and the vector expected of its own prompt."""
        features = rows.features(self.key.parts)
        if self._ridge is not None:
            centres = normalized(self._ridge.predict(features))
            cosines, numbers = self.index.search(centres, k)
            return Neighbourhood(centres, numbers, cosines)
        cosines, known = self.index.search(normalized(features), k)
        numbers = np.where(known >= 0, self.bank.prompt_of[known], -1)
        weights = softmax_weights(cosines, numbers, _CENTRE_TEMPERATURE)
        pulled = np.einsum("mk,mkd->md", weights, self.bank.vectors[numbers])
        return Neighbourhood(normalized(pulled), numbers, cosines)

    def prompts(self, found: Neighbourhood, row: int) -> list[str]:
        """Return the distinct prompts among a row's neighbours, the nearest first."""
        numbers = [int(number) for number in found.numbers[row] if number >= 0]
        return [self.bank.prompts[number] for number in dict.fromkeys(numbers)]


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


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """A cross-validation fold: its row numbers, all others, and a retriever over the others."""

    rows: Numbers
    others: Numbers
    retriever: Retriever


def choose_key(
    keys: Sequence[Key], known: KnownRows, *, seed: int = 0, deadline: Deadline | None = None
) -> list[HeldOut]:
    """Choose the key that predicts held-out prompts' vectors best by mean SCS; return its folds."""
    numbers = list(grouped_folds(known.groups, seed=seed))
    best: list[HeldOut] = []
    highest = -np.inf
    for key in keys:
        total, folds = 0.0, list[HeldOut]()
        for others, tested in numbers:
            if deadline is not None:
                deadline.check()
            retriever = Retriever(key, known.take(others))
            held_out = known.take(tested)
            centres = retriever.retrieve(held_out.rows).centres
            total += float(sharpened_cosines(centres, held_out.targets).sum())
            folds.append(HeldOut(tested, others, retriever))
        if total > highest:
            best, highest = folds, total
    return best


def one_for_each(rows: Rows, predictions: Texts | None) -> Texts:
    """Return each row's predictions, empty ones if none are given; check their number."""
    given = predictions or [()] * len(rows)
    if len(given) != len(rows):
        raise ValueError(
            f"each row must have its predictions, or none: found {len(rows):,} rows and "
            f"{len(given):,} of predictions"
        )
    return given


def normalized(rows: NDArray[np.floating]) -> Vectors:
    """Scale vectors to unit length, in float32; vectors of zeros stay zeros."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Vectors = (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled
