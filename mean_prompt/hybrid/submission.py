"""A submission: a CSV file with an answer (a predicted prompt) for every row, always valid."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from mean_prompt.system import (
    InputError,
    RunError,
    check_target,
    os_errors,
    preview,
    write_atomically,
)

HEADER: Final = ("id", "rewrite_prompt")

#: What ``pandas.read_csv`` turns into a missing value by default, quoted or not; a scorer that
#: uses it would find no answer in the row. From pandas 2 and 3.
_PANDAS_NULLS: Final = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"}
    | {"<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
)


def is_null_to_pandas(text: str) -> bool:
    """Return whether ``pandas.read_csv`` would read a string as a missing value."""
    return text in _PANDAS_NULLS


class Submission:
    """The answers to all rows of a test file, and the CSV file that they are written to.

    An existing file is replaced. Rows without an answer of their own get the fallback.
    """

    def __init__(self, path: Path, ids: Sequence[str], fallback: str) -> None:
        check_universal(fallback)
        check_target(path, "--out")
        self.path = path
        self.ids = tuple(ids)
        self.fallback = fallback
        # Rows are quoted once, since the file is written again and again.
        self._lines = [_line(name, fallback) for name in self.ids]
        self._is_saved = False

    def put(self, row: int, text: str) -> None:
        """Set the answer to a row, in memory; :meth:`save` writes it."""
        if not text.strip():
            raise ValueError(f"an answer must not be blank: found {text!r} for row {row}")
        self._lines[row] = _line(self.ids[row], text)  # raises if the text is not Unicode
        self._is_saved = False

    def write(self) -> None:
        """Write the whole submission file, which is valid even before the first answer."""
        data = b"".join((_line(*HEADER), *self._lines))
        rule, state = "the submission must stay writable", "what was written before is whole"
        with os_errors(rule, self.path, state, raises=RunError):
            write_atomically(self.path, data)
        self._is_saved = True

    def save(self) -> None:
        """Write the whole submission file if an answer was set since it was last written."""
        if not self._is_saved:
            self.write()


def _line(name: str, text: str) -> bytes:
    line = io.StringIO(newline="")
    # By default the CSV writer (Python 3.11) does not quote a carriage return, and the row would
    # be read as two.
    quoting: Literal[0, 1] = csv.QUOTE_ALL if "\r" in name + text else csv.QUOTE_MINIMAL
    csv.writer(line, lineterminator="\n", quoting=quoting).writerow((name, text))
    return line.getvalue().encode()


def check_universal(text: str) -> None:
    """Raise InputError unless a universal string can be written as an answer and read back."""
    if not text.strip():
        raise InputError(
            f"--prompt must be a string that is not blank: found {text!r}; give another"
        )
    if is_null_to_pandas(text):
        raise InputError(
            f"--prompt must be text: {text!r} is read as a missing value; give another"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"--prompt must be Unicode text: character {error.start + 1} of {preview(text)} is none"
        ) from error
