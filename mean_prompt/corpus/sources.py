"""Parse corpus specs (``NAME=PATH:WEIGHT``) into sources, which count the rows read from each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mean_prompt.corpus.readers import check_there
from mean_prompt.system import InputError, path_exists, shipped_folder, user_path


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder of prompts, with counts of the rows read and changed by cleaning.

    Attributes:
        name: shown in results; the file's stem by default.
        weight: share of the whole corpus, or ``None`` to let every row count once.
        stripped: rows whose text had whitespace around it, which was removed.
        duplicates: rows whose text occurs in an earlier row, of this source or a previous one.
    """

    name: str
    path: str
    weight: float | None
    rows: int
    stripped: int = 0
    empty: int = 0
    duplicates: int = 0

    @property
    def kept(self) -> int:
        """Number of distinct prompts that occur in this source and in no previous one."""
        return self.rows - self.empty - self.duplicates

    def describe(self) -> str:
        """Return one line with the numbers of rows read, dropped and kept."""
        share = "" if self.weight is None else f", weight {self.weight:g}"
        return (
            f"{self.name}: {self.kept:,} prompts of {self.rows:,} rows ({self.empty:,} empty and "
            f"{self.duplicates:,} duplicates dropped, {self.stripped:,} stripped{share})"
        )


def default_corpus_folder() -> Path:
    """Return ``corpora/`` of the working directory if there is one, else the packaged corpora."""
    local = Path("corpora")
    return local if local.is_dir() else shipped_folder("corpora")


def parse_source(spec: str) -> Source:
    """Parse a spec ``NAME=PATH:WEIGHT``; an existing path may itself contain ``=`` or ``:``."""
    readings = list(_readings(spec))
    name, path, weight = next(
        (reading for reading in readings if path_exists(user_path(reading[1]))), readings[-1]
    )
    share = None if weight is None else _parse_weight(weight, spec)
    return Source(name or Path(path).stem or path, path, share, 0)


def check_sources(specs: Iterable[str]) -> None:
    """Raise if the file or folder of a corpus spec does not exist, before any slow loading."""
    # A path that the system cannot look at is left to the reader, whose error says why.
    for spec in specs:
        with suppress(OSError):
            check_there(user_path(parse_source(spec).path))


def _readings(spec: str) -> Iterator[tuple[str, str, str | None]]:
    """Yield each possible (name, path, weight) of a spec, first with the whole spec as path."""
    named = re.fullmatch(r"([\w.-]+)=(.+)", spec)
    for name, rest in [("", spec), *([(named[1], named[2])] if named else [])]:
        yield name, rest, None
        if weighted := re.fullmatch(r"(.+):([^:/\\]*)", rest):
            yield name, weighted[1], weighted[2]


def _parse_weight(text: str, spec: str) -> float:
    weight = 0.0
    with suppress(ValueError):
        weight = float(text)
    if not 0 < weight < float("inf"):
        raise InputError(f"a corpus weight must be a positive number: found {text!r} in {spec!r}")
    return weight
