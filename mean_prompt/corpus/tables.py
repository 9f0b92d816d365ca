"""Parse CSV, TSV, JSONL, JSON, Parquet and TXT files into numbered rows of cells, one by one.

A parser keeps every string byte for byte and checks no cell. It holds in memory no more than a
line (CSV: a record) of at most :data:`MAX_LINE` bytes, or a slice of a Parquet file; only a JSON
array is held whole, and has a limit of its own.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from mean_prompt.system import InputError

#: Characters in one cell. The longest real prompts have a few thousand; a cell of megabytes is a
#: broken file (an unclosed quote, a pasted document), and would stall the tokenizer.
MAX_CELL: Final = 131_072
#: Bytes in one line, or characters in one CSV record: room for twenty of the longest cells, all
#: escaped. A longer one is no table, and would be held whole before its cells could be looked at.
MAX_LINE: Final = 2**24
#: Bytes of a JSON file, whose array has to be held whole: about ten times as many once parsed.
MAX_JSON: Final = 2**28
#: Distinct field names that the objects of a JSON or JSONL file may have in total.
MAX_FIELDS: Final = 10_000
#: Bytes of a text file read at once.
_BLOCK: Final = 2**20
#: Rows of a Parquet file held at once.
_SLICE: Final = 4_096

#: Takes the names of a file's columns, returns those to read, or raises.
Choose = Callable[[Sequence[str]], Sequence[str]]
#: A row's number in the file, from 1, and its chosen cells.
Cells = tuple[int, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class TableFile:
    """Path of a file to parse, and its noun in error messages: ``a corpus``, ``a table``."""

    path: Path
    what: str


@dataclass(frozen=True, slots=True)
class TableRows:
    """An iterator over the rows of a table file, and the names of the columns read.

    Attributes:
        names: names of the columns; ``None`` alone if the rows are bare strings.
        unit: what row numbers count: ``line`` (the one on which a row ends) or ``row``.
    """

    names: tuple[str | None, ...]
    unit: str
    cells: Iterator[Cells]


@contextmanager
def open_rows(source: TableFile, choose: Choose) -> Iterator[TableRows]:
    """Open a table file, whose suffix is one of :data:`SUFFIXES`, to be read row by row.

    ``choose`` selects the columns to read; it is not called if the rows are bare strings.

    Raises:
        InputError: the file is broken.
    """
    with source.path.open("rb") as file:
        yield _PARSERS[source.path.suffix.lower()](file, source, choose)


def text_lines(text: str) -> list[str]:
    """Split a text at newlines alone: ``str.splitlines`` would split a prompt at U+2028."""
    return [line.removesuffix("\n") for line in io.StringIO(text, newline=None)]


def decode(data: bytes, source: TableFile, first_line: int = 1) -> str:
    """Decode a file's bytes as UTF-8, without a byte-order mark, or raise naming the line."""
    try:
        return data.decode("utf-8-sig" if first_line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line = first_line + data.count(b"\n", 0, error.start)
        raise InputError(
            f"{source.what} must be UTF-8: {source.path}, line {line} holds byte "
            f"0x{data[error.start]:02x}; convert the file"
        ) from error


def csv_reason(error: csv.Error) -> str:
    """Return the message of a :class:`csv.Error`, in plain words if a cell is too long."""
    is_long = "field larger than field limit" in str(error)
    return f"a cell holds more than {MAX_CELL:,} characters" if is_long else str(error)


def _blocks(file: BinaryIO, source: TableFile) -> Iterator[tuple[int, str]]:
    """Yield a file's text in blocks of whole lines, each with the number of its first line."""
    number, rest = 1, b""
    while block := file.read(_BLOCK):
        ended = block.find(b"\n")
        if len(rest) + (ended if ended >= 0 else len(block)) > MAX_LINE:
            raise _too_long("a line", "bytes", source, number)
        whole, newline, after = block.rpartition(b"\n")
        if newline:
            data = rest + whole + newline
            yield number, decode(data, source, number)
            number, rest = number + data.count(b"\n"), after
        else:
            rest += block
    if rest:
        yield number, decode(rest, source, number)


def _lines(file: BinaryIO, source: TableFile, newline: str | None) -> Iterator[str]:
    """Yield a text file's lines; ``newline`` is as for :func:`open`."""
    for _, text in _blocks(file, source):
        yield from io.StringIO(text, newline=newline)


def _too_long(what: str, unit: str, source: TableFile, number: int) -> InputError:
    return InputError(
        f"{what} may hold at most {MAX_LINE:,} {unit}: {source.path}, line {number} holds more; "
        "remove it, or close its quote"
    )


def _txt(file: BinaryIO, source: TableFile, _choose: Choose) -> TableRows:
    lines = enumerate(_lines(file, source, None), 1)
    cells = ((number, (line.removesuffix("\n"),)) for number, line in lines)
    return TableRows((None,), "line", cells)


def _csv(file: BinaryIO, source: TableFile, choose: Choose, delimiter: str = ",") -> TableRows:
    # The standard reader rather than a faster one: it reports the line of a fault.
    records = _records(file, source, delimiter)
    _, header = next(records, (0, None))
    if header is None:
        raise InputError(f"a CSV file must have a header line: {source.path} is empty")
    names = tuple(choose(header))
    return TableRows(names, "line", _chosen(records, header, names, source))


def _records(file: BinaryIO, source: TableFile, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of a CSV file, each with the number of its last line.

    A record's length is limited here: the standard reader's limit is global to the process, and
    other libraries raise it.
    """
    held = 0

    def lines() -> Iterator[str]:
        nonlocal held
        # Lone carriage returns end lines too, as they do for the reader; all stay as they are.
        for number, line in enumerate(_lines(file, source, ""), 1):
            held += len(line)
            if held > MAX_LINE:
                raise _too_long("a CSV record", "characters", source, number)
            yield line

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    try:
        for record in reader:
            held = 0
            yield reader.line_num, record
    except csv.Error as error:
        reason = f"line {reader.line_num}: {csv_reason(error)}"
        raise _broken("CSV", source, reason) from error


def _chosen(
    records: Iterator[tuple[int, list[str]]],
    header: Sequence[str],
    names: Sequence[str],
    source: TableFile,
) -> Iterator[Cells]:
    places = [header.index(name) for name in names]
    for number, record in records:
        if not record and len(header) > 1:
            continue
        cells = record or [""]  # a blank line is an empty cell if there is one column
        if len(cells) != len(header):
            raise InputError(
                f"each row must have the header's {len(header)} cells: {source.path}, line "
                f"{number} has {len(cells)}; quote cells that hold commas or newlines"
            )
        yield number, tuple(cells[place] for place in places)


def _jsonl(file: BinaryIO, source: TableFile, choose: Choose) -> TableRows:
    def rows() -> Iterator[tuple[int, Any]]:
        file.seek(0)
        for number, line in enumerate(_lines(file, source, "\n"), 1):
            if not line.isspace():
                try:
                    value = json.loads(line.removesuffix("\n"))
                except (ValueError, RecursionError) as error:
                    raise _broken("JSONL", source, f"line {number}: {error}") from error
                yield number, value

    names = _names(rows(), source, "line", choose)
    return TableRows(names, "line", _fields(rows(), names))


def _json(file: BinaryIO, source: TableFile, choose: Choose) -> TableRows:
    data = file.read(MAX_JSON + 1)
    if len(data) > MAX_JSON:
        raise InputError(
            f"a JSON file may hold at most {MAX_JSON:,} bytes, for it has to be held whole: "
            f"{source.path} holds more; write a row a line, as JSONL"
        )
    try:
        values = json.loads(decode(data, source))
    except (ValueError, RecursionError) as error:
        raise _broken("JSON", source, str(error)) from error
    if not isinstance(values, list):
        name = source.what.removeprefix("a ")
        raise InputError(f"a JSON {name} must be an array of rows: {source.path} holds one value")
    rows = list(enumerate(values, 1))
    names = _names(rows, source, "row", choose)
    return TableRows(names, "row", _fields(rows, names))


def _names(
    rows: Iterable[tuple[int, Any]], source: TableFile, unit: str, choose: Choose
) -> tuple[str | None, ...]:
    """Choose the fields to read among those of all JSON objects; (None,) for bare strings."""
    names: dict[str, None] = {}
    kind: type | None = None
    for number, row in rows:
        kind = kind or type(row)
        if type(row) is not kind or kind not in {str, dict}:
            raise InputError(
                f"each row must be a JSON object, or each a string: {source.path}, {unit} {number} "
                f"is {type(row).__name__}"
            )
        names.update(dict.fromkeys(row if isinstance(row, dict) else ()))
        if len(names) > MAX_FIELDS:
            raise InputError(
                f"the rows of a table may have at most {MAX_FIELDS:,} fields between them: "
                f"{source.path}, {unit} {number} has one more; give all rows the same fields"
            )
    return tuple(choose(list(names))) if kind is dict else (None,)


def _fields(rows: Iterable[tuple[int, Any]], names: Sequence[str | None]) -> Iterator[Cells]:
    for number, row in rows:
        yield number, (row,) if isinstance(row, str) else tuple(map(row.get, names))


def parquet_rows(file: BinaryIO, source: TableFile, choose: Choose) -> TableRows:
    """Return the rows of an already open Parquet file, as :func:`open_rows` yields them."""
    from pyarrow.parquet import ParquetFile

    with _sound(source):
        # Without memory maps and buffers of whole column chunks, a page at a time is held.
        parquet = ParquetFile(file, pre_buffer=False, buffer_size=_BLOCK)
        found = parquet.schema_arrow.names
    names = tuple(choose(found))

    def cells() -> Iterator[tuple[Any, ...]]:
        with _sound(source):
            for batch in parquet.iter_batches(_SLICE, columns=list(names), use_threads=False):
                # By name: a file may have "a.b" beside "a", which is asked for as its parent.
                columns = [batch.column(batch.schema.get_field_index(name)) for name in names]
                for row in zip(*columns, strict=True):
                    yield tuple(cell.as_py() for cell in row)

    return TableRows(names, "row", enumerate(cells(), 1))


@contextmanager
def _sound(source: TableFile) -> Iterator[None]:
    """Convert the Parquet reader's errors into an :class:`InputError` that names the file."""
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:  # the system's, not the reader's
            raise
        reason = str(error).splitlines() or [type(error).__name__]
        raise _broken("Parquet", source, reason[0]) from error


def _broken(kind: str, source: TableFile, reason: str) -> InputError:
    return InputError(
        f"a {kind} file must be well formed: {source.path}: {reason}; repair or re-export it"
    )


_PARSERS: Final[dict[str, Callable[[BinaryIO, TableFile, Choose], TableRows]]] = {
    ".csv": _csv,
    ".tsv": partial(_csv, delimiter="\t"),
    ".jsonl": _jsonl,
    ".json": _json,
    ".parquet": parquet_rows,
    ".txt": _txt,
}

#: Suffixes of the files that can be read.
SUFFIXES: Final = tuple(_PARSERS)
