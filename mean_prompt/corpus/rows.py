"""Rows of the competition: a text, its rewrite, and, where it is known, the prompt between them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Rows:
    """Texts and their rewrites; what a prediction is made for.

    Attributes:
        ids: of the rows, as the file spells them; distinct.
        originals: the texts before the rewrite; may be blank.
        rewritten: the texts after it; may be blank.
    """

    ids: tuple[str, ...]
    originals: tuple[str, ...]
    rewritten: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.originals) == len(self.rewritten):
            raise ValueError("ids, originals and rewritten must be equally many")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, numbers: Sequence[int] | NDArray[np.int64]) -> Rows:
        """Return some of the rows, by number, in the order given."""
        return Rows(
            tuple(self.ids[number] for number in numbers),
            tuple(self.originals[number] for number in numbers),
            tuple(self.rewritten[number] for number in numbers),
        )

    @property
    def content_hash(self) -> str:
        """SHA-256 over ids and texts, in order."""
        return _digest(self.ids, self.originals, self.rewritten)


@dataclass(frozen=True, slots=True)
class Triples:
    """Rows whose true prompts are known.

    Attributes:
        rows: the texts.
        prompts: the true prompt of each, stripped, not blank.
    """

    rows: Rows
    prompts: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.prompts):
            raise ValueError("each row must have its prompt")

    def __len__(self) -> int:
        return len(self.prompts)

    def take(self, numbers: Sequence[int] | NDArray[np.int64]) -> Triples:
        """Return some of the triples, by number, in the order given."""
        prompts = tuple(self.prompts[number] for number in numbers)
        return Triples(self.rows.take(numbers), prompts)

    def groups(self) -> NDArray[np.int64]:
        """Return (n,) group numbers: rows of one prompt, in any case and spacing, share one."""
        seen: dict[str, int] = {}
        names = (" ".join(prompt.lower().split()) for prompt in self.prompts)
        return np.array([seen.setdefault(name, len(seen)) for name in names], np.int64)

    @property
    def content_hash(self) -> str:
        """SHA-256 over rows and prompts, in order."""
        return _digest((self.rows.content_hash,), self.prompts)


def _digest(*columns: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for column in columns:
        for text in column:
            digest.update(f"{len(text)}\0{text}\n".encode("utf-8", "surrogatepass"))
        digest.update(b"\0\0")
    return digest.hexdigest()
