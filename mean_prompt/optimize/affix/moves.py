"""Edits of an affix: units put in, taken out or moved, with the shift model's features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mean_prompt.objective import Vectors
from mean_prompt.optimize.affix.units import UnitBank

EditName = Literal["insert", "replace", "delete", "swap", "join"]

#: Units looked at for an insertion, and for a replacement at each place: a model of the gain ranks
#: them all, which costs as much as encoding a few dozen rows.
_INSERTED: Final = 6_144
_REPLACED: Final = 1_024


@dataclass(frozen=True, slots=True)
class Edit:
    """An affix to try.

    Attributes:
        units: of the new affix.
        move: how it was made.
        put_in: numbers in the bank of the units put in.
        taken_out: numbers in the bank of the units taken out.
    """

    units: tuple[str, ...]
    move: EditName
    put_in: tuple[int, ...] = ()
    taken_out: tuple[int, ...] = ()


class Moves:
    """Makes edits.

    Args:
        bank: units to put in.
        rng: of every random choice.
    """

    def __init__(self, bank: UnitBank, rng: np.random.Generator) -> None:
        self._bank = bank
        self._number = {text: number for number, text in enumerate(bank.texts)}
        self._rng = rng

    def single(self, number: int) -> Edit:
        """Return the affix of one unit alone."""
        return Edit((self._bank.texts[number],), "insert", (number,))

    def with_units(self, units: tuple[str, ...]) -> list[Edit]:
        """Return insertions and replacements at an affix, of units drawn at random."""
        count = len(self._bank)
        drawn = self._rng.permutation(count)[:_INSERTED].tolist()
        places = self._rng.integers(len(units) + 1, size=len(drawn)).tolist()
        edits = [
            self._edit(units, (place, place), (number,), "insert")
            for number, place in zip(drawn, places, strict=True)
        ]
        for place in range(len(units)):
            drawn = self._rng.permutation(count)[:_REPLACED].tolist()
            edits += [
                self._edit(units, (place, place + 1), (number,), "replace") for number in drawn
            ]
        return edits

    def without_units(
        self, units: tuple[str, ...], others: Sequence[tuple[str, ...]]
    ) -> Iterator[Edit]:
        """Yield edits that need no new unit: deletions, swaps, and other good affixes joined on."""
        for place in range(len(units)):
            yield self._edit(units, (place, place + 1), (), "delete")
        for first, second in combinations(range(len(units)), 2):
            order = list(units)
            order[first], order[second] = order[second], order[first]
            yield Edit(tuple(order), "swap")
        for other in others:
            numbers = tuple(self._number[unit] for unit in other)
            yield Edit(units + other, "join", numbers)
            yield Edit(other + units, "join", numbers)

    def features(self, edits: Sequence[Edit]) -> torch.Tensor:
        """Return what the shift model predicts from: static vectors and length, (k, d + 1)."""
        vectors: Vectors = self._bank.vectors
        features = np.zeros((len(edits), vectors.shape[1] + 1), np.float32)
        for sign, numbers in ((1, [e.put_in for e in edits]), (-1, [e.taken_out for e in edits])):
            rows = np.repeat(np.arange(len(edits)), [len(some) for some in numbers])
            flat: NDArray[np.int64] = np.array([n for some in numbers for n in some], np.int64)
            np.add.at(features[:, :-1], rows, sign * vectors[flat])
            np.add.at(features[:, -1], rows, sign)
        return torch.from_numpy(features)

    def _edit(
        self, units: tuple[str, ...], span: tuple[int, int], put_in: tuple[int, ...], move: EditName
    ) -> Edit:
        first, last = span
        taken_out = tuple(self._number[unit] for unit in units[first:last])
        new = tuple(self._bank.texts[number] for number in put_in)
        return Edit((*units[:first], *new, *units[last:]), move, put_in, taken_out)
