"""Where in prompt space a row points to: the prompts of known rows like it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

from mean_prompt.hybrid.index import VectorIndex
from mean_prompt.hybrid.rows import EmbeddedRows, KnownRows, Numbers, normalized
from mean_prompt.hybrid.settings import MOST_NEIGHBOURS, Key
from mean_prompt.objective import Vectors, sharpened_cosines
from mean_prompt.system import Deadline, InputError

#: Temperature at which neighbours make a raw key's centre.
_CENTRE_TEMPERATURE: Final = 0.05
_FOLDS: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """The distinct prompts of known rows.

    Attributes:
        prompts: b texts, one for each group of equal prompts.
        vectors: (b, d) vectors of the prompts.
        prompt_of: (n,) number of each row's prompt.
    """

    prompts: tuple[str, ...]
    vectors: Vectors
    prompt_of: Numbers

    @classmethod
    def of(cls, known: KnownRows) -> Bank:
        """Gather the prompts of known rows."""
        _, first, prompt_of = np.unique(known.groups, return_index=True, return_inverse=True)
        return cls(tuple(known.prompts[row] for row in first), known.targets[first], prompt_of)


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourhood:
    """What was retrieved for m rows.

    Attributes:
        centres: (m, d) unit vectors, the points in prompt space to expect; zeros if unknown.
        numbers: (m, k) nearest prompts of the bank, best first; -1 for none.
        cosines: (m, k) cosines of the key with them.
    """

    centres: Vectors
    numbers: Numbers
    cosines: Vectors


def softmax_weights(
    cosines: NDArray[np.floating], numbers: Numbers, temperature: float
) -> NDArray[np.float64]:
    """Return softmax(cosine / temperature) along the last axis; those numbered -1 weigh 0."""
    there = np.where(numbers >= 0, cosines.astype(np.float64), -np.inf)
    top = there.max(axis=-1, keepdims=True, initial=-np.inf)
    with np.errstate(over="ignore"):  # at a temperature near 0 the nearest one has it all
        raised = np.exp((there - np.where(np.isfinite(top), top, 0.0)) / temperature)
    totals = raised.sum(axis=-1, keepdims=True)
    shares: NDArray[np.float64] = raised / np.where(totals > 0, totals, 1.0)
    return shares


class Retriever:
    """Finds the known prompts that a row's key points to.

    Args:
        key: what rows are compared by.
        known: rows to find.
    """

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
        """Return the centre and the k nearest prompts of each row."""
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
    """Yield (known rows, rows to test) so that every row is tested once and no group is split.

    Raises:
        InputError: there is only one group.
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
    keys: Sequence[Key], known: KnownRows, *, seed: int = 0, deadline: Deadline | None = None
) -> Key:
    """Return the key whose centres have the highest mean SCS with held-out prompts.

    Args:
        keys: the keys to choose from.
        known: rows to cross-validate on.
        seed: seed of the folds.
        deadline: checked before each fit.

    Raises:
        InputError: there is only one prompt.
        OutOfTimeError: the deadline expired.
    """
    totals = np.zeros(len(keys))
    for rest, tested in grouped_folds(known.groups, seed=seed):
        fitted, held_out = known.take(rest), known.take(tested)
        for number, key in enumerate(keys):
            if deadline is not None:
                deadline.check()
            found = Retriever(key, fitted).retrieve(held_out.rows)
            totals[number] += sharpened_cosines(found.centres, held_out.targets).sum()
    return keys[int(totals.argmax())]
