"""Formats of files with rows: CSV, TSV, JSONL, JSON, Parquet and TXT -> cells with their places.

A parser keeps every string byte for byte and judges no cell: what a column may hold, and what its
cells are called in messages, is the business of :mod:`mean_prompt.readers`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from mean_prompt.errors import InputError

#: Characters in one cell. The longest real prompts have a few thousand; a cell of megabytes is a
#: broken file (an unclosed quote, a pasted document), and would stall the tokenizer.
MAX_CELL: Final = 131_072

#: Takes the names of a file's columns, returns those to read, or raises.
Choose = Callable[[Sequence[str]], Sequence[str]]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """A file, and what messages call it: ``a corpus``, ``a table``."""

    path: Path
    what: str


@dataclass(frozen=True, slots=True)
class Table:
    """The columns that were chosen, as the file spells them.

    Attributes:
        columns: cells by the column's name, equally many; the name is ``None`` where the file's
            rows are bare strings.
        numbers: of the line that each row ends on, or of the row itself, from 1.
        unit: what the numbers count.
    """

    columns: dict[str | None, list[Any]]
    numbers: Sequence[int]
    unit: Literal["line", "row"]


def read_table(source: Source, choose: Choose) -> Table:
    """Parse a file whose suffix is one of :data:`SUFFIXES`.

    Raises:
        InputError: the file is broken, or what ``choose`` raises. ``choose`` is not called where
            the rows are bare strings.
        OSError: the file cannot be read.
    """
    return _PARSERS[source.path.suffix.lower()](source, choose)


def text_lines(text: str) -> list[str]:
    """Return the lines of a text file.

    Unlike ``str.splitlines`` it ends a line at a newline alone, not at the other characters
    (such as U+2028) that may stand inside a prompt.
    """
    return [line.removesuffix("\n") for line in io.StringIO(text, newline=None)]


def decode(data: bytes, source: Source) -> str:
    """Return a file's text; a byte-order mark is not part of it."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{source.what} must be UTF-8: {source.path}, line {line} holds byte "
            f"0x{data[error.start]:02x}; convert the file"
        ) from error


def csv_reason(error: csv.Error) -> str:
    """Return what the standard reader found, in words that fit a message."""
    if "field larger than field limit" in str(error):
        return f"a cell holds more than {MAX_CELL:,} characters"
    return str(error)


def _read_text(source: Source) -> str:
    return decode(source.path.read_bytes(), source)


def _read_txt(source: Source, _choose: Choose) -> Table:
    lines = text_lines(_read_text(source))
    return Table({None: lines}, range(1, len(lines) + 1), "line")


def _read_delimited(source: Source, choose: Choose, delimiter: str = ",") -> Table:
    # The standard reader rather than a faster one: it knows the line that a fault stands on.
    text = io.StringIO(_read_text(source), newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    numbers: list[int] = []
    try:
        header = next(reader, None)
        if header is None:
            raise InputError(f"a CSV file must have a header line: {source.path} is empty")
        columns: dict[str | None, list[Any]] = {name: [] for name in choose(header)}
        wanted = [(header.index(str(name)), cells) for name, cells in columns.items()]
        for row in reader:
            if not row and len(header) > 1:
                continue
            cells = row or [""]  # a blank line is an empty cell where there is one column
            if len(cells) != len(header):
                raise InputError(
                    f"each row must have the header's {len(header)} cells: {source.path}, line "
                    f"{reader.line_num} has {len(cells)}; quote cells that hold commas or newlines"
                )
            numbers.append(reader.line_num)
            for place, column in wanted:
                column.append(cells[place])
    except csv.Error as error:
        reason = f"line {reader.line_num}: {csv_reason(error)}"
        raise _broken("CSV", source, reason) from error
    return Table(columns, numbers, "line")


def _read_tsv(source: Source, choose: Choose) -> Table:
    return _read_delimited(source, choose, "\t")


def _read_jsonl(source: Source, choose: Choose) -> Table:
    rows: list[tuple[int, Any]] = []
    for number, line in enumerate(_read_text(source).split("\n"), 1):
        if line.strip():
            try:
                rows.append((number, json.loads(line)))
            except (ValueError, RecursionError) as error:
                raise _broken("JSONL", source, f"line {number}: {error}") from error
    return _objects(rows, source, choose, "line")


def _read_json(source: Source, choose: Choose) -> Table:
    try:
        rows = json.loads(_read_text(source))
    except (ValueError, RecursionError) as error:
        raise _broken("JSON", source, str(error)) from error
    if not isinstance(rows, list):
        name = source.what.removeprefix("a ")
        raise InputError(f"a JSON {name} must be an array of rows: {source.path} holds one value")
    return _objects(list(enumerate(rows, 1)), source, choose, "row")


def _objects(
    rows: Sequence[tuple[int, Any]], source: Source, choose: Choose, unit: Literal["line", "row"]
) -> Table:
    """Return the columns of parsed JSON: bare strings, or fields of objects."""
    numbers = [number for number, _ in rows]
    if all(isinstance(row, str) for _, row in rows):
        return Table({None: [row for _, row in rows]}, numbers, unit)
    for number, row in rows:
        if not isinstance(row, dict):
            raise InputError(
                f"each row must be a JSON object, or each a string: {source.path}, {unit} {number} "
                f"is {type(row).__name__}"
            )
    names = choose(_keys(row for _, row in rows))
    return Table({name: [row.get(name) for _, row in rows] for name in names}, numbers, unit)


def _keys(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _read_parquet(source: Source, choose: Choose) -> Table:
    import polars as pl
    from polars.exceptions import PanicException, PolarsError

    # Read as bytes: polars would take a path with brackets for a pattern.
    data = source.path.read_bytes()
    try:
        names = choose(list(pl.read_parquet_schema(io.BytesIO(data))))
        frame = pl.read_parquet(io.BytesIO(data), columns=list(names))
        columns: dict[str | None, list[Any]] = {name: frame[name].to_list() for name in names}
    except (PolarsError, PanicException) as error:  # about one damaged file in 700 panics
        raise _broken("Parquet", source, str(error).splitlines()[0]) from error
    return Table(columns, range(1, frame.height + 1), "row")


def _broken(kind: str, source: Source, reason: str) -> InputError:
    return InputError(
        f"a {kind} file must be well formed: {source.path}: {reason}; mend or re-export it"
    )


_PARSERS: Final[dict[str, Callable[[Source, Choose], Table]]] = {
    ".csv": _read_delimited,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".parquet": _read_parquet,
    ".txt": _read_txt,
}

#: Suffixes of the files that can be read.
SUFFIXES: Final = tuple(_PARSERS)
