"""Read the competition's rows: a text, its rewrite by an LLM, and the LLM's prompt if known."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import duplicates
from mean_prompt.corpus.readers import read_columns
from mean_prompt.system import InputError, preview_name, user_path

ID: Final = "id"
ORIGINAL: Final = "original_text"
REWRITTEN: Final = "rewritten_text"
#: Columns that may hold the true prompt; the first one in the file is used.
PROMPTS: Final = ("rewrite_prompt", "prompt")


@dataclass(frozen=True)
class Rows:
    """Rows to predict prompts for: distinct ids, original texts and rewrites (maybe blank)."""

    ids: tuple[str, ...]
    originals: tuple[str, ...]
    rewritten: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.originals) == len(self.rewritten):
            raise ValueError("ids, originals and rewritten must be equally many")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, numbers: Sequence[int] | NDArray[np.int64]) -> Rows:
        """Return the rows at the given indices, in that order."""
        columns = self.ids, self.originals, self.rewritten
        return Rows(*(tuple(column[number] for number in numbers) for column in columns))

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the rows' ids and texts, in order."""
        return _digest(self.ids, self.originals, self.rewritten)


@dataclass(frozen=True)
class Triples:
    """Rows together with their true prompts; the prompts are stripped and not blank."""

    rows: Rows
    prompts: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.prompts):
            raise ValueError("each row must have its prompt")

    def __len__(self) -> int:
        return len(self.prompts)

    def take(self, numbers: Sequence[int] | NDArray[np.int64]) -> Triples:
        """Return the triples at the given indices, in that order."""
        prompts = tuple(self.prompts[number] for number in numbers)
        return Triples(self.rows.take(numbers), prompts)

    def groups(self) -> NDArray[np.int64]:
        """Return (n,) group numbers: rows with equal prompts, up to case and spacing, share one."""
        seen: dict[str, int] = {}
        names = map(same_prompt, self.prompts)
        return np.array([seen.setdefault(name, len(seen)) for name in names], np.int64)

    def near_groups(self) -> NDArray[np.int64]:
        """Return (n,) group numbers: rows with near-duplicate prompts share one."""
        return duplicates.groups(self.prompts)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the rows and their prompts, in order."""
        return _digest((self.rows.content_hash,), self.prompts)


@dataclass(frozen=True, slots=True)
class TriplesFile:
    """Triples (text, rewrite, prompt) read from a file, and a line on each count of cleaning."""

    triples: Triples
    notes: tuple[str, ...]


def same_prompt(prompt: str) -> str:
    """Return a prompt without case and spacing, in which prompts that count as one may differ."""
    return " ".join(prompt.lower().split())


def read_ids(source: str | Path) -> tuple[str, ...]:
    """Return the ``id`` column of a test file, in the file's order."""
    path = user_path(source)
    ids = read_columns(path, (ID,))[ID]
    _check_ids(ids, path)
    return tuple(ids)


def read_rows(source: str | Path) -> Rows:
    """Read rows to predict prompts for: ``id``, ``original_text`` and ``rewritten_text``.

    Texts are kept as they are and may be blank, since every row needs a prediction.
    """
    path = user_path(source)
    columns = read_columns(path, (ID, ORIGINAL, REWRITTEN))
    _check_ids(columns[ID], path)
    return Rows(tuple(columns[ID]), tuple(columns[ORIGINAL]), tuple(columns[REWRITTEN]))


def read_triples(source: str | Path) -> TriplesFile:
    """Read rows with their true prompts, from a column ``rewrite_prompt`` or else ``prompt``.

    Prompts are stripped. Rows with a blank prompt are dropped, and so are those whose prompt is
    the original text itself, a fault of several public collections. Without an ``id`` column the
    ids are the numbers of the rows in the file, from 1.
    """
    path = user_path(source)
    columns = read_columns(path, (ORIGINAL, REWRITTEN), (ID, *PROMPTS))
    name = next((name for name in PROMPTS if name in columns), None)
    if name is None:
        raise InputError(
            f"triples must have their true prompts in a column {' or '.join(PROMPTS)}: {path} has "
            "neither; rename the column that holds them"
        )
    originals, rewritten = columns[ORIGINAL], columns[REWRITTEN]
    ids = columns.get(ID) or [str(number) for number in range(1, len(originals) + 1)]
    _check_ids(ids, path)
    prompts = [prompt.strip() for prompt in columns[name]]
    blank = np.array([not prompt for prompt in prompts])
    copied = np.array([p == text.strip() for p, text in zip(prompts, originals, strict=True)])
    copied &= ~blank
    keep = np.flatnonzero(~blank & ~copied)
    if not len(keep):
        raise InputError(
            f"triples must have prompts: {path} has {_count(len(ids), 'row')}, none with one of "
            f"its own in {name!r}; give another file"
        )
    triples = Triples(Rows(tuple(ids), tuple(originals), tuple(rewritten)), tuple(prompts))
    triples = triples.take(keep)
    rows = triples.rows
    counts = {
        "dropped, the prompt is blank": blank.sum(),
        "dropped, the prompt is the original text itself": copied.sum(),
        "kept, the original text is blank": sum(not text.strip() for text in rows.originals),
        "kept, the rewritten text is blank": sum(not text.strip() for text in rows.rewritten),
    }
    notes = (f"{_count(count, 'row')} {what}" for what, count in counts.items() if count)
    first = f"{_count(len(triples), 'triple')} from {_count(len(prompts), 'row')} of {path}"
    return TriplesFile(triples, (first, *notes))


def _check_ids(ids: Sequence[str], path: Path) -> None:
    if not ids:
        raise InputError(f"a file of rows must have at least one: {path} has a header alone")
    seen: dict[str, int] = {}
    for number, name in enumerate(ids, 1):
        if not name.strip():
            raise InputError(
                f"each row must have an id: that of row {number} in {path} is blank; give it one"
            )
        first = seen.setdefault(name, number)
        if first != number:
            raise InputError(
                f"each row must have an id of its own: rows {first} and {number} in {path} both "
                f"have {preview_name(name)}; rename or remove one"
            )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _digest(*columns: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for column in columns:
        for text in column:
            digest.update(f"{len(text)}\0{text}\n".encode("utf-8", "surrogatepass"))
        digest.update(b"\0\0")
    return digest.hexdigest()
