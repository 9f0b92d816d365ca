"""Read a column of prompts, or several columns, from CSV, JSON, Parquet and text files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from mean_prompt.corpus.tables import MAX_CELL, SUFFIXES, TableFile, TableRows, open_rows
from mean_prompt.system import InputError, os_errors, preview, preview_name

#: Columns taken as the prompts when none is named, in this order.
COLUMN_GUESSES: Final = ("rewrite_prompt", "prompt", "text")
#: Number of column names listed in a message.
_SHOWN: Final = 20
_REMEDY: Final = "check its name and its rights"
#: Halves of surrogate pairs: JSON can write one alone (``\ud83d``), UTF-8 and tokenizers cannot.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


#: A rule for cells: their noun in messages, the rule as a sentence, and the types allowed.
_Rule = tuple[str, str, tuple[type, ...]]
_PROMPT: Final[_Rule] = ("a prompt", "prompts must be strings", (str,))
_CELL: Final[_Rule] = ("a cell", "cells must be text or whole numbers", (str, int))


def read_prompts(path: Path, column: str | None = None) -> list[str]:
    """Return the prompts of one file, or of all readable files of a folder, in order.

    Empty cells and nulls are returned as empty strings, which the caller counts and drops.
    The column is guessed by default: ``rewrite_prompt``, ``prompt``, ``text``, or the only one.

    Raises:
        InputError: the path is missing, unreadable, broken, or holds no such column.
    """
    return list(iter_prompts(path, column))


def iter_prompts(path: Path, column: str | None = None) -> Iterator[str]:
    """Yield the prompts of a file or folder one by one, as :func:`read_prompts` returns them.

    Only JSON arrays are held in memory whole. A fault is raised when its row is reached.
    """
    with os_errors("a corpus must be readable", path, _REMEDY):
        if path.is_dir():
            for file in _files_of(path):
                yield from iter_prompts(file, column)
            return
        check_there(path)
        if path.suffix.lower() not in SUFFIXES:
            known = ", ".join(SUFFIXES)
            raise InputError(f"a corpus must be one of {known}, or a folder of these: {path}")
        source = TableFile(path, "a corpus")
        with open_rows(source, lambda names: [choose_column(names, column, path)]) as rows:
            for number, [cell] in rows.cells:
                yield _text(cell, rows, 0, number, path, _PROMPT)


def check_there(path: Path) -> None:
    """Raise if no file or folder of prompts exists at a path."""
    if not path.exists():
        raise InputError(f"a file of prompts must exist: found no file or folder {path}")


def read_columns(
    path: Path, required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, list[str]]:
    """Read columns of a table file into lists of strings, one per row, keyed by column name.

    Whole numbers are read as text, since ids often are numbers in JSON and Parquet; nulls, and
    fields that a JSON object does not have, become empty strings. Optional columns are
    returned only if the file has them.

    Raises:
        InputError: the file or a cell has a fault, or a required column is missing or doubled.
    """
    with os_errors("a table must be readable", path, _REMEDY):
        if path.is_dir() or not path.exists():
            found = "is a folder" if path.is_dir() else "is not there"
            raise InputError(f"a table must be a file: {path} {found}")
        if path.suffix.lower() not in SUFFIXES or path.suffix.lower() == ".txt":
            known = ", ".join(suffix for suffix in SUFFIXES if suffix != ".txt")
            raise InputError(f"a table must be one of {known}: {path}; convert it, or rename it")
        source = TableFile(path, "a table")
        with open_rows(source, lambda names: _choose(names, required, optional, path)) as rows:
            columns: dict[str, list[str]] = {name or "": [] for name in rows.names}
            for number, cells in rows.cells:
                for place, (cell, column) in enumerate(zip(cells, columns.values(), strict=True)):
                    column.append(_text(cell, rows, place, number, path, _CELL))
    if None in rows.names:
        found = "bare strings" if columns[""] else "no rows"
        raise InputError(
            f"the rows of a table must have named columns ({', '.join(required)}): {path} holds "
            f"{found}"
        )
    return columns


def choose_column(names: Sequence[str], column: str | None, path: Path) -> str:
    """Return the name of the prompts' column: ``column``, or a guess among a file's columns."""
    found = _listed(names)
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


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(map(preview_name, names[:_SHOWN])) + more or "none"


def _choose(
    names: Sequence[str], required: Sequence[str], optional: Sequence[str], path: Path
) -> list[str]:
    found = _listed(names)
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
    """Return a folder's files with known suffixes, recursively, except hidden ones."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not files:
        raise InputError(
            f"a corpus folder must hold prompts: found no file of {', '.join(SUFFIXES)} in {folder}"
        )
    return files


def _text(cell: object, rows: TableRows, place: int, number: int, path: Path, rule: _Rule) -> str:
    """Return a table cell as a string, or raise, naming its row, if it breaks the rule."""
    noun, says, types = rule
    text = "" if cell is None else str(cell)
    if cell is not None and type(cell) not in types:
        found = f"has {type(cell).__name__} in {preview(rows.names[place])}"
    elif len(text) > MAX_CELL:
        says = f"{noun} may hold at most {MAX_CELL:,} characters"
        found = f"holds {len(text):,}; remove the row, or close its quote"
    elif _SURROGATE.search(text):
        says = f"{noun} must be Unicode text"
        found = "holds half a surrogate pair; fix or remove the row"
    else:
        return text
    raise InputError(f"{says}: {path}, {rows.unit} {number} {found}")
