"""Files of text: a column of prompts, or several columns that belong together.

Every string is kept byte for byte; cleaning is the business of those who asked for it. A file
that breaks a rule raises one :class:`InputError` that names the file and, where there is one, the
line. The formats themselves are in :mod:`mean_prompt.tables`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mean_prompt.errors import InputError
from mean_prompt.tables import MAX_CELL, SUFFIXES, Source, Table, read_table, text_lines

__all__ = ["MAX_CELL", "SUFFIXES", "choose_column", "read_columns", "read_prompts", "text_lines"]

#: Columns taken as the prompts when none is named, in this order.
COLUMN_GUESSES: Final = ("rewrite_prompt", "prompt", "text")
#: Suffixes of the files whose rows have named columns.
TABLE_SUFFIXES: Final = tuple(suffix for suffix in SUFFIXES if suffix != ".txt")

#: JSON can spell these (``\ud83d`` without its second half), UTF-8 and tokenizers cannot.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class _Rule:
    """What the cells of a column may be, and what messages call them."""

    noun: str
    says: str
    types: tuple[type, ...]


_PROMPT: Final = _Rule("a prompt", "prompts must be strings", (str,))
_CELL: Final = _Rule("a cell", "cells must be text or whole numbers", (str, int))


def read_prompts(path: Path, column: str | None = None) -> list[str]:
    """Return the prompts of one file, or of all readable files of a folder, in order.

    Empty cells and nulls come back as empty strings, to be counted where they are dropped.

    Args:
        path: a file with a known suffix, or a folder that is searched recursively.
        column: which column; guessed (``rewrite_prompt``, ``prompt``, ``text``, the only one)
            when left out. Not used for TXT files.

    Raises:
        InputError: the path is missing, unreadable, broken, or holds no such column.
    """
    try:
        if path.is_dir():
            return [prompt for file in _files_of(path) for prompt in read_prompts(file, column)]
        if not path.exists():
            raise InputError(f"a file of prompts must exist: found no file or folder {path}")
        if path.suffix.lower() not in SUFFIXES:
            known = ", ".join(SUFFIXES)
            raise InputError(f"a corpus must be one of {known}, or a folder of these: {path}")
        table = read_table(
            Source(path, "a corpus"), lambda names: [choose_column(names, column, path)]
        )
    except OSError as error:
        raise _unreadable("a corpus", path, error) from error
    [name] = table.columns
    return _texts(table, name, path, _PROMPT)


def read_columns(
    path: Path, required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, list[str]]:
    """Return columns of one file, by name: as many strings each as the file has rows.

    Whole numbers are read as text, since ids often are numbers in JSON and Parquet; nulls, and
    fields that a JSON object does not have, come back as empty strings.

    Args:
        path: a file with a known suffix whose rows have named columns.
        required: exact names.
        optional: exact names of columns that are left out of the result where the file has none.

    Raises:
        InputError: the file is missing, unreadable or broken, lacks a required column, has a
            wanted one twice, or a cell is neither text nor a whole number.
    """

    def choose(names: Sequence[str]) -> list[str]:
        return _choose_columns(names, required, optional, path)

    try:
        if path.is_dir() or not path.exists():
            found = "is a folder" if path.is_dir() else "is not there"
            raise InputError(f"a table must be a file: {path} {found}")
        if path.suffix.lower() not in TABLE_SUFFIXES:
            known = ", ".join(TABLE_SUFFIXES)
            raise InputError(f"a table must be one of {known}: {path}; convert it, or rename it")
        table = read_table(Source(path, "a table"), choose)
    except OSError as error:
        raise _unreadable("a table", path, error) from error
    if None in table.columns:
        rows = "no rows" if not table.numbers else "bare strings"
        raise InputError(
            f"the rows of a table must have named columns ({', '.join(required)}): {path} holds "
            f"{rows}"
        )
    return {str(name): _texts(table, name, path, _CELL) for name in table.columns}


def choose_column(names: Sequence[str], column: str | None, path: Path) -> str:
    """Return the named column, or the likely one, or raise with the columns there are."""
    found = ", ".join(names) or "none"
    if column is not None:
        if column not in names:
            raise InputError(f"--column must be in the file: {path} has {found}, not {column!r}")
        return column
    for guess in COLUMN_GUESSES:
        if guess in names:
            return guess
    if len(names) == 1:
        return names[0]
    raise InputError(
        f"the prompts' column must be named {', '.join(COLUMN_GUESSES)}, be the only one, or be "
        f"given with --column: {path} has {found}"
    )


def _choose_columns(
    names: Sequence[str], required: Sequence[str], optional: Sequence[str], path: Path
) -> list[str]:
    found = ", ".join(names) or "none"
    missing = [name for name in required if name not in names]
    if missing:
        raise InputError(
            f"a table must have the columns {', '.join(required)}: {path} has {found}, not "
            f"{', '.join(missing)}; rename its columns, or add them"
        )
    wanted = list(dict.fromkeys([*required, *(name for name in optional if name in names)]))
    for name in wanted:
        if names.count(name) > 1:
            raise InputError(
                f"each column must have a name of its own: {path} has {name!r} "
                f"{names.count(name)} times; rename or remove the others"
            )
    return wanted


def _files_of(folder: Path) -> list[Path]:
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file() and not _is_hidden(path, folder)
    ]
    if not files:
        raise InputError(
            f"a corpus folder must hold prompts: found no file of {', '.join(SUFFIXES)} in {folder}"
        )
    return files


def _is_hidden(path: Path, folder: Path) -> bool:
    """Tell whether a file, or a folder on the way to it, is hidden, as notebooks' copies are."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _texts(table: Table, column: str | None, path: Path, rule: _Rule) -> list[str]:
    """Return a column as text, or raise with the place of the first cell that is none."""
    texts: list[str] = []
    for cell, number in zip(table.columns[column], table.numbers, strict=True):
        if cell is not None and type(cell) not in rule.types:
            raise InputError(
                f"{rule.says}: {path}, {table.unit} {number} has {type(cell).__name__} in "
                f"{column!r}"
            )
        text = "" if cell is None else str(cell)
        if len(text) > MAX_CELL or _SURROGATE.search(text):
            raise _bad_text(text, f"{path}, {table.unit} {number}", rule.noun)
        texts.append(text)
    return texts


def _bad_text(text: str, place: str, noun: str) -> InputError:
    if len(text) > MAX_CELL:
        return InputError(
            f"{noun} may hold at most {MAX_CELL:,} characters: {place} holds {len(text):,}; "
            "remove the row, or close its quote"
        )
    return InputError(
        f"{noun} must be Unicode text: {place} holds half a surrogate pair; mend or remove the row"
    )


def _unreadable(what: str, path: Path, error: OSError) -> InputError:
    return InputError(f"{what} must be readable: {path}: {error.strerror or error}")
