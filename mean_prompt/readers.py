"""Files of prompts: CSV, TSV, JSONL, JSON, Parquet and TXT -> a column of strings.

A reader keeps every string byte for byte; cleaning is the corpus's business. A file that breaks a
rule raises one :class:`InputError` that names the file and, where there is one, the line.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from mean_prompt.errors import InputError

#: Columns taken as the prompts when none is named, in this order.
COLUMN_GUESSES: Final = ("rewrite_prompt", "prompt", "text")
#: Characters in one cell. The longest real prompts have a few thousand; a cell of megabytes is a
#: broken file (an unclosed quote, a pasted document), and would stall the tokenizer.
MAX_CELL: Final = 131_072

#: JSON can spell these (``\ud83d`` without its second half), UTF-8 and tokenizers cannot.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

Row = dict[str, Any]


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
        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            raise InputError(f"a corpus must be one of {_suffixes()}, or a folder of these: {path}")
        return reader(path, column)
    except OSError as error:
        raise InputError(f"a corpus must be readable: {path}: {error.strerror or error}") from error


def _files_of(folder: Path) -> list[Path]:
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in _READERS and path.is_file() and not _is_hidden(path, folder)
    ]
    if not files:
        raise InputError(
            f"a corpus folder must hold prompts: found no file of {_suffixes()} in {folder}"
        )
    return files


def _is_hidden(path: Path, folder: Path) -> bool:
    """Tell whether a file, or a folder on the way to it, is hidden, as notebooks' copies are."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _read_txt(path: Path, _column: str | None) -> list[str]:
    lines = text_lines(_decode(path))
    return [_bounded(line, path, number) for number, line in enumerate(lines, 1)]


def text_lines(text: str) -> list[str]:
    """Return the lines of a text file.

    Unlike ``str.splitlines`` it ends a line at a newline alone, not at the other characters
    (such as U+2028) that may stand inside a prompt.
    """
    return [line.removesuffix("\n") for line in io.StringIO(text, newline=None)]


def _read_delimited(path: Path, column: str | None, delimiter: str = ",") -> list[str]:
    # The standard reader rather than a faster one: it knows the line that a fault stands on.
    text = io.StringIO(_decode(path), newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise InputError(f"a CSV file must have a header line: {path} is empty")
        wanted = header.index(choose_column(header, column, path))
        prompts = []
        for row in reader:
            if not row and len(header) > 1:
                continue
            cells = row or [""]  # a blank line is an empty cell where there is one column
            if len(cells) != len(header):
                raise InputError(
                    f"each row must have the header's {len(header)} cells: {path}, line "
                    f"{reader.line_num} has {len(cells)}; quote cells that hold commas or newlines"
                )
            prompts.append(_bounded(cells[wanted], path, reader.line_num))
    except csv.Error as error:
        raise _broken("CSV", path, f"line {reader.line_num}: {_csv_reason(error)}") from error
    return prompts


def _read_tsv(path: Path, column: str | None) -> list[str]:
    return _read_delimited(path, column, "\t")


def _read_jsonl(path: Path, column: str | None) -> list[str]:
    rows: list[tuple[int, Any]] = []
    for number, line in enumerate(_decode(path).split("\n"), 1):
        if line.strip():
            try:
                rows.append((number, json.loads(line)))
            except (ValueError, RecursionError) as error:
                raise _broken("JSONL", path, f"line {number}: {error}") from error
    return _cells(rows, column, path, "line")


def _read_json(path: Path, column: str | None) -> list[str]:
    try:
        rows = json.loads(_decode(path))
    except (ValueError, RecursionError) as error:
        raise _broken("JSON", path, str(error)) from error
    if not isinstance(rows, list):
        raise InputError(f"a JSON corpus must be an array of rows: {path} holds one value")
    return _cells(list(enumerate(rows, 1)), column, path, "row")


def _read_parquet(path: Path, column: str | None) -> list[str]:
    import polars as pl
    from polars.exceptions import PanicException, PolarsError

    # Read as bytes: polars would take a path with brackets for a pattern.
    data = path.read_bytes()
    try:
        names = list(pl.read_parquet_schema(io.BytesIO(data)))
        wanted = choose_column(names, column, path)
        values = pl.read_parquet(io.BytesIO(data), columns=[wanted])[wanted].to_list()
    except (PolarsError, PanicException) as error:  # about one damaged file in 700 panics
        reason = str(error).splitlines()[0]
        raise _broken("Parquet", path, reason) from error
    return [_cell(value, wanted, path, f"row {number}") for number, value in enumerate(values, 1)]


def _cells(rows: Sequence[tuple[int, Any]], column: str | None, path: Path, unit: str) -> list[str]:
    """Return one cell a row of parsed JSON: bare strings, or a field of objects."""
    if all(isinstance(row, str) for _, row in rows):
        return [_bounded(row, path, number) for number, row in rows]
    for number, row in rows:
        if not isinstance(row, dict):
            raise InputError(
                f"each row must be a JSON object, or each a string: {path}, {unit} {number} is "
                f"{type(row).__name__}"
            )
    wanted = choose_column(_keys(row for _, row in rows), column, path)
    return [_cell(row.get(wanted), wanted, path, f"{unit} {number}") for number, row in rows]


def _keys(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


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


def _cell(value: object, column: str, path: Path, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(
            f"prompts must be strings: {path}, {where} has {type(value).__name__} in {column!r}"
        )
    return _bounded(value, path, where)


def _bounded(cell: str, path: Path, where: int | str) -> str:
    place = f"line {where}" if isinstance(where, int) else where
    if len(cell) > MAX_CELL:
        raise InputError(
            f"a prompt may hold at most {MAX_CELL:,} characters: {path}, {place} holds "
            f"{len(cell):,}; remove the row, or close its quote"
        )
    if _SURROGATE.search(cell):
        raise InputError(
            f"a prompt must be Unicode text: {path}, {place} holds half a surrogate pair; mend or "
            "remove the row"
        )
    return cell


def _decode(path: Path) -> str:
    """Return a file's text; a byte-order mark is not part of it."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"a corpus must be UTF-8: {path}, line {line} holds byte 0x{data[error.start]:02x}; "
            "convert the file"
        ) from error


def _broken(kind: str, path: Path, reason: str) -> InputError:
    return InputError(f"a {kind} file must be well formed: {path}: {reason}; mend or re-export it")


def _csv_reason(error: csv.Error) -> str:
    if "field larger than field limit" in str(error):
        return f"a cell holds more than {MAX_CELL:,} characters"
    return str(error)


def _suffixes() -> str:
    return ", ".join(SUFFIXES)


_READERS: Final[dict[str, Callable[[Path, str | None], list[str]]]] = {
    ".csv": _read_delimited,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".parquet": _read_parquet,
    ".txt": _read_txt,
}

#: Suffixes of the files that can be read.
SUFFIXES: Final = tuple(_READERS)
