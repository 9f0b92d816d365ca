"""A submission: a file with an answer for every row, whole and valid at every moment."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mean_prompt.system import InputError, RunError, check_target, preview, write_atomically

HEADER: Final = ("id", "rewrite_prompt")

#: What ``pandas.read_csv`` turns into a missing value unless it is told not to, quoted or not; a
#: scorer that uses it would find no answer in the row. From pandas 2 and 3.
_PANDAS_NULLS: Final = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"}
    | {"<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
)


def is_null_to_pandas(text: str) -> bool:
    """Tell whether a scorer that reads the file with pandas would see no text at all."""
    return text in _PANDAS_NULLS


class Submission:
    """The answers to all rows, and the file that they are written to.

    Args:
        path: the file; its folder must be there. What stands there is replaced.
        ids: of the rows, in the test file's order.
        fallback: the answer of every row that has none of its own.

    Raises:
        InputError: the file cannot be written, or the fallback is no answer.
    """

    def __init__(self, path: Path, ids: Sequence[str], fallback: str) -> None:
        _check_fallback(fallback)
        check_target(path, "--out")
        self.path = path
        self.ids = tuple(ids)
        self.fallback = fallback
        self._answers = [fallback] * len(self.ids)
        self._put: set[int] = set()
        # Rows are quoted once, since the file is written again and again.
        self._lines = [_line(name, fallback) for name in self.ids]
        self._is_saved = False

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def answers(self) -> tuple[str, ...]:
        """The answer to each row."""
        return tuple(self._answers)

    @property
    def answered(self) -> int:
        """Number of rows that were given an answer, be it the fallback's text."""
        return len(self._put)

    @property
    def improved(self) -> int:
        """Number of rows whose answer is not the fallback."""
        return sum(self._answers[row] != self.fallback for row in self._put)

    def put(self, row: int, text: str) -> None:
        """Set the answer to a row, in memory; :meth:`save` writes it.

        A text that :func:`is_null_to_pandas` is taken as it is: whoever puts it decides.

        Raises:
            ValueError: the text is blank, or cannot be written as UTF-8.
            IndexError: there is no such row.
        """
        if not 0 <= row < len(self.ids):
            raise IndexError(f"rows are numbered from 0 to {len(self.ids) - 1}: found {row}")
        if not text.strip():
            raise ValueError(f"an answer must not be blank: found {text!r} for row {row}")
        self._lines[row] = _line(self.ids[row], text)  # raises where the text is not Unicode
        self._answers[row] = text
        self._put.add(row)
        self._is_saved = False

    def write(self) -> None:
        """Write the whole file; the first call, before any answer, makes it valid.

        Raises:
            RunError: the file can no longer be written; what was there before is whole.
        """
        data = b"".join((_line(*HEADER), *self._lines))
        try:
            write_atomically(self.path, data)
        except OSError as error:
            raise RunError(
                f"the submission must stay writable: {self.path}: {error.strerror or error}; what "
                "was written before is whole"
            ) from error
        self._is_saved = True

    def save(self) -> None:
        """Write the whole file where an answer was put since it was last written."""
        if not self._is_saved:
            self.write()


def _line(name: str, text: str) -> bytes:
    line = io.StringIO(newline="")
    # Left to itself the writer (Python 3.11) does not quote a carriage return, and the row would
    # be read as two.
    if "\r" in name or "\r" in text:
        writer = csv.writer(line, lineterminator="\n", quoting=csv.QUOTE_ALL)
    else:
        writer = csv.writer(line, lineterminator="\n")
    writer.writerow((name, text))
    return line.getvalue().encode()


def _check_fallback(text: str) -> None:
    if not text.strip():
        raise InputError("--prompt must be a string that is not blank: found a blank one")
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
