"""Where in prompt space a row points to: the prompts that known rows like it were made by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

from mean_prompt.corpus import Triples
from mean_prompt.hybrid.index import VectorIndex
from mean_prompt.hybrid.keys import Key, RowVectors, normalized
from mean_prompt.objective import Vectors, sharpened_cosines
from mean_prompt.system import Clock, InputError

Numbers = NDArray[np.int64]

#: Neighbours that are looked up; a blend uses as many of them as its settings say.
MOST_NEIGHBOURS: Final = 64
#: Temperature at which neighbours make a raw key's centre.
_CENTRE_TEMPERATURE: Final = 0.05
_FOLDS: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """The distinct prompts of known rows.

    Attributes:
        prompts: b texts, one a group of equal prompts.
        vectors: (b, d) of them.
        prompt_of: (n,) which of them each row was made by.
    """

    prompts: tuple[str, ...]
    vectors: Vectors
    prompt_of: Numbers

    @classmethod
    def of(cls, triples: Triples, vectors: Vectors) -> Bank:
        """Gather the prompts of triples, whose vectors are given row by row: (n, d)."""
        _, first, prompt_of = np.unique(triples.groups(), return_index=True, return_inverse=True)
        return cls(tuple(triples.prompts[row] for row in first), vectors[first], prompt_of)


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourhood:
    """What known rows say of m rows.

    Attributes:
        centres: (m, d) unit vectors, the prompts to expect; noughts where nothing is known.
        numbers: (m, k) nearest prompts of the bank, best first; -1 where there is none.
        cosines: (m, k) of the key with theirs.
    """

    centres: Vectors
    numbers: Numbers
    cosines: Vectors

    def weights(self, temperature: float, k: int) -> NDArray[np.float64]:
        """Return (m, k) shares of the first k neighbours: softmax of cosine / temperature."""
        return softmax_weights(self.cosines[:, :k], self.numbers[:, :k], temperature)


def softmax_weights(
    cosines: NDArray[np.floating], numbers: Numbers, temperature: float
) -> NDArray[np.float64]:
    """Return shares of neighbours along the last axis; those numbered -1 have none."""
    there = np.where(numbers >= 0, cosines.astype(np.float64), -np.inf)
    top = there.max(axis=-1, keepdims=True, initial=-np.inf)
    with np.errstate(over="ignore"):  # at a temperature near nought the nearest one has it all
        raised = np.exp((there - np.where(np.isfinite(top), top, 0.0)) / temperature)
    totals = raised.sum(axis=-1, keepdims=True)
    shares: NDArray[np.float64] = raised / np.where(totals > 0, totals, 1.0)
    return shares


class Retriever:
    """Finds the known prompts that a row's key points to.

    Args:
        key: what rows are compared by.
        rows: (n) known rows.
        bank: their prompts.
        index: over :meth:`indexed` vectors, where one is at hand; built when left out.
    """

    def __init__(
        self, key: Key, rows: RowVectors, bank: Bank, *, index: VectorIndex | None = None
    ) -> None:
        self.key = key
        self.bank = bank
        self._model: Ridge | None = None
        if key.kind == "ridge":
            targets = bank.vectors[bank.prompt_of]
            self._model = Ridge(alpha=key.alpha).fit(rows.features(key.parts), targets)
        self.index = index or VectorIndex(indexed_vectors(key, rows, bank))

    def look(self, rows: RowVectors, k: int = MOST_NEIGHBOURS) -> Neighbourhood:
        """Return what is known of rows."""
        features = rows.features(self.key.parts)
        if self._model is not None:
            centres = normalized(self._model.predict(features))
            cosines, numbers = self.index.search(centres, k)
            return Neighbourhood(centres, numbers, cosines)
        cosines, known = self.index.search(normalized(features), k)
        numbers = np.where(known >= 0, self.bank.prompt_of[known], -1)
        weights = softmax_weights(cosines, numbers, _CENTRE_TEMPERATURE)
        pulled = np.einsum("mk,mkd->md", weights, self.bank.vectors[numbers])
        return Neighbourhood(normalized(pulled), numbers, cosines)


def indexed_vectors(key: Key, rows: RowVectors, bank: Bank) -> Vectors:
    """Return what a key's index holds: known rows' features, or the known prompts themselves."""
    return normalized(rows.features(key.parts)) if key.kind == "raw" else bank.vectors


def grouped_folds(groups: Numbers, *, seed: int = 0) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield (known rows, rows to test) so that every row is tested once, and no group is split.

    Raises:
        InputError: there is one group only.
    """
    count = min(_FOLDS, len(np.unique(groups)))
    if count < 2:
        raise InputError(
            "triples must have at least two different prompts, to test on rows of prompts that "
            f"were not fitted: found {count} in {len(groups)} rows; give more"
        )
    folds = GroupKFold(count, shuffle=True, random_state=seed)
    yield from folds.split(np.zeros(len(groups)), groups=groups)


def choose_key(
    keys: Sequence[Key],
    rows: RowVectors,
    triples: Triples,
    vectors: Vectors,
    *,
    seed: int = 0,
    clock: Clock | None = None,
) -> tuple[Key, dict[str, float]]:
    """Return the key whose centres have the highest mean SCS with held-out prompts.

    Args:
        keys: to choose from.
        rows: vectors of the known rows.
        triples: they themselves.
        vectors: (n, d) of their prompts.
        seed: of the folds.
        clock: is asked before each fit.

    Returns:
        The best key, and the score of each by its name.

    Raises:
        OutOfTimeError: the clock ran out.
    """
    totals = np.zeros(len(keys))
    for known, tested in grouped_folds(triples.groups(), seed=seed):
        bank = Bank.of(triples.take(known), vectors[known])
        for number, key in enumerate(keys):
            if clock is not None:
                clock.check()
            found = Retriever(key, rows.take(known), bank).look(rows.take(tested))
            totals[number] += sharpened_cosines(found.centres, vectors[tested]).sum()
    means = totals / len(triples)
    scores = {str(key): float(mean) for key, mean in zip(keys, means, strict=True)}
    return keys[int(means.argmax())], scores
