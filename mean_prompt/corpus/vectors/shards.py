"""Read a corpus of any size as shards (batches of distinct prompts), and embed the prompts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus.readers import iter_prompts
from mean_prompt.corpus.sources import Source
from mean_prompt.system import RunError, preview, user_path

if TYPE_CHECKING:
    from mean_prompt.encoder import Encoder

Halves = NDArray[np.float16]

#: Characters that end a shard early, so that it fits into memory whatever the prompts' length.
_CHARACTERS: Final = 2**26
#: How far from 1 a row's length may be. Half precision keeps 11 bits: each number is off by one
#: part in 2,048 at most, and so is the length of a row that was of unit length.
UNIT_TOLERANCE: Final = 2**-11 + 1e-5


@dataclass(frozen=True, slots=True)
class Shard:
    """A numbered batch of distinct non-empty prompts; ``counts`` rows of the corpus hold each."""

    number: int
    prompts: tuple[str, ...]
    counts: tuple[int, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the shard's prompts and counts."""
        digest = hashlib.sha256()
        for prompt, count in zip(self.prompts, self.counts, strict=True):
            data = prompt.encode()
            digest.update(b"%d %d\n%b\n" % (len(data), count, data))
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Embeddings of n prompts: (n, d) float16 rows of unit length, up to rounding.

    Attributes:
        rounding: largest absolute error of their numbers from float16.
        cut: number of prompts that the model truncated.
    """

    vectors: Halves
    rounding: float
    cut: int


class Stream:
    """Iterates over a corpus in shards of ``size`` prompts; equal files give equal shards."""

    def __init__(self, sources: Sequence[Source], column: str | None, size: int) -> None:
        self._sources = sources
        self._column = column
        self._size = size
        self._tallies: list[Counter[str]] = [Counter() for _ in sources]

    @property
    def sources(self) -> tuple[Source, ...]:
        """The files and folders of the corpus, with counts of the rows read so far."""
        counted = zip(self._sources, self._tallies, strict=True)
        return tuple(
            Source(s.name, s.path, s.weight, t["rows"], t["stripped"], t["empty"], t["duplicates"])
            for s, t in counted
        )

    def some(self, numbers: Sequence[int]) -> Iterator[Shard]:
        """Yield the shards with the given numbers, and stop reading after the last of them."""
        for shard in self if numbers else ():
            if shard.number in numbers:
                yield shard
            if shard.number >= max(numbers):
                return

    def __iter__(self) -> Iterator[Shard]:
        held: dict[str, int] = {}
        number = characters = 0
        for text, tally in self._texts():
            if text in held:
                held[text] += 1
                tally["duplicates"] += 1
                continue
            held[text] = 1
            characters += len(text)
            if len(held) == self._size or characters >= _CHARACTERS:
                yield Shard(number, tuple(held), tuple(held.values()))
                held, number, characters = {}, number + 1, 0
        if held:
            yield Shard(number, tuple(held), tuple(held.values()))

    def _texts(self) -> Iterator[tuple[str, Counter[str]]]:
        """Yield each non-blank prompt, stripped, with the counter of its source's rows."""
        for source, tally in zip(self._sources, self._tallies, strict=True):
            for prompt in iter_prompts(user_path(source.path), self._column):
                text = prompt.strip()
                tally["rows"] += 1
                if text:
                    tally["stripped"] += text != prompt
                    yield text, tally
                else:
                    tally["empty"] += 1


def encode_halves(encoder: Encoder, prompts: Sequence[str]) -> Encoded:
    """Embed strings in float32, check that rows are finite and unit, and round to float16."""
    ids = encoder.tokenize(prompts)
    vectors = encoder.encode_ids(ids)
    halves = vectors.astype(np.float16)
    for row in np.flatnonzero(~are_unit(halves)).tolist():
        raise RunError(
            f"a model's vectors must be finite and of unit length: {encoder.identity.name} gave "
            f"a length of {np.linalg.norm(vectors[row]):.4g} for {preview(prompts[row])}; choose "
            "another --model"
        )
    rounding = float(np.abs(halves.astype(np.float32) - vectors).max())
    return Encoded(halves, rounding, sum(len(row) > encoder.max_tokens for row in ids))


def are_unit(halves: Halves) -> NDArray[np.bool_]:
    """Return which rows are finite and of unit length: (n, d) -> (n,)."""
    lengths = np.linalg.norm(halves.astype(np.float32), axis=1)
    unit: NDArray[np.bool_] = np.abs(lengths - 1) <= UNIT_TOLERANCE
    return unit
