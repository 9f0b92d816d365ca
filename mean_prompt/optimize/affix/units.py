"""Units that make up an affix (words, signs and phrases), and edits that add or remove them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mean_prompt.encoder import Encoder
from mean_prompt.objective import Vectors
from mean_prompt.optimize.constraints import Rules
from mean_prompt.optimize.vocabulary import cached_screening, mine_phrases
from mean_prompt.system import Deadline, Listener, ignore

EditName = Literal["insert", "replace", "delete", "swap", "join"]

#: Units looked at for an insertion, and for a replacement at each place: a model of the gain ranks
#: them all, which costs as much as encoding a few dozen rows.
_INSERTED: Final = 6_144
_REPLACED: Final = 1_024


@dataclass(frozen=True, slots=True, eq=False)
class UnitBank:
    """Words, signs and phrases (units) that an affix is made of, with blanks between them.

    Attributes:
        texts: distinct units; phrases first, the most frequent one before the others, then words.
        vectors: (u, d) unit vectors of the units alone, in the screening dtype.
        phrases: number of units that are phrases.
    """

    texts: tuple[str, ...]
    vectors: Vectors
    phrases: int

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def gather(
        cls,
        prompts: Sequence[str],
        encoder: Encoder,
        rules: Rules,
        *,
        listener: Listener = ignore,
        deadline: Deadline | None = None,
    ) -> UnitBank:
        """Encode the words that the rules allow, and the prompts' phrases, each on its own.

        ``prompts`` are the true ones of the training side. If the deadline expires,
        ``OutOfTimeError`` is raised; vectors made by then stay in the cache.
        """
        encode = cached_screening(encoder, listener, deadline)
        phrases = mine_phrases(prompts, encoder, rules, encode)
        texts = [text.strip() for text in encoder.decode(phrases.bodies)] if len(phrases) else []
        words = _words(rules)
        # Some models lose case, so that two phrases may become one text.
        vectors = dict(zip(texts, phrases.vectors, strict=True))
        count = len(vectors)
        for word, vector in zip(words, encode(words), strict=True):
            vectors.setdefault(word, vector)
        return cls(tuple(vectors), np.stack(list(vectors.values())), count)


@dataclass(frozen=True, slots=True)
class Edit:
    """An edited affix to try, with the bank's indices of the units put in and taken out."""

    units: tuple[str, ...]
    move: EditName
    put_in: tuple[int, ...] = ()
    taken_out: tuple[int, ...] = ()


class Moves:
    """Generates edits of affixes from a bank of units (words, signs and phrases)."""

    def __init__(self, bank: UnitBank, rng: np.random.Generator) -> None:
        self._bank = bank
        self._number = {text: number for number, text in enumerate(bank.texts)}
        self._rng = rng

    def single(self, number: int) -> Edit:
        """Return the edit that makes an affix of one unit (word or phrase), by its index."""
        return Edit((self._bank.texts[number],), "insert", (number,))

    def with_units(self, units: tuple[str, ...]) -> list[Edit]:
        """Return edits that put randomly drawn units into an affix, or replace one of its units."""
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
        """Yield edits of an affix: deletions and swaps of units, and joins with good affixes."""
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
        """Return the inputs of the shift model: change of units' vectors and number, (k, d + 1)."""
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


def _words(rules: Rules) -> list[str]:
    """Return the texts of allowed tokens that can stand between blanks: words and signs."""
    surfaces = (
        rules.surfaces[token]
        for token in rules.allowed
        if rules.starts_word[token] or not rules.surfaces[token].isalnum()
    )
    # If no token is a whole word (odd tokenizers), any token will do.
    return list(dict.fromkeys(surfaces)) or [rules.surfaces[token] for token in rules.allowed]
