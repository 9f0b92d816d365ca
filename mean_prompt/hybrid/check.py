"""Checking a submission: every fault that could make a scorer fail, and where it is."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, Literal, Protocol

from mean_prompt.corpus import TableFile, csv_reason, decode, read_ids
from mean_prompt.hybrid.submission import HEADER, is_null_to_pandas
from mean_prompt.system import InputError, os_errors, preview_name

#: Places that one finding names.
_FEW: Final = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that a submission breaks, with all rows that break it.

    Attributes:
        severity: a submission with a fault is not valid; a warning is worth knowing.
        rule: its short name, for programs.
        message: the rule, what was found and where, in one line.
    """

    severity: Literal["fault", "warning"]
    rule: str
    message: str


class TokenCounter(Protocol):
    """A model's tokenizer, such as an :class:`~mean_prompt.encoder.encoder.Encoder`."""

    @property
    def max_tokens(self) -> int:
        """Number of tokens of the longest string that the model reads whole."""

    def tokenize(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
        """Return the tokens of each string, however long it is."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """A row of the submission; ``text`` is ``None`` if its cells are too few or too many."""

    line: int
    id: str
    text: str | None

    def __str__(self) -> str:
        return f"{preview_name(self.id)} (line {self.line})"


class _UnusableError(Exception):
    """The rows cannot be read, so that nothing else can be checked."""


def check_submission(
    submission: Path,
    test: Path,
    *,
    encoder: TokenCounter | None = None,
    max_tokens: int | None = None,
) -> list[Finding]:
    """Compare a submission with the test file that it answers.

    Args:
        submission: a CSV file; whatever it holds, the result says what is wrong with it.
        test: a file with the column ``id``.
        encoder: counts tokens; without one, answers that the model would cut are not found.
        max_tokens: most tokens of an answer; needs the encoder.

    Returns:
        Faults, then warnings; a list without faults is a valid submission's.

    Raises:
        InputError: the test file cannot be used, or the submission is not there.
    """
    if max_tokens is not None and encoder is None:
        raise ValueError("max_tokens needs an encoder, which counts the tokens")
    ids = read_ids(test)
    with os_errors("a submission must be readable", submission, "check its name and its rights"):
        data = submission.read_bytes()
    findings: list[Finding] = []
    try:
        answers = _read(data, submission, findings.append)
    except _UnusableError:
        return findings
    tokens = _check_tokens(answers, encoder, max_tokens) if encoder else ()
    findings += chain(_check_ids(answers, ids), _check_texts(answers), tokens)
    return sorted(findings, key=lambda finding: finding.severity != "fault")


def _read(data: bytes, path: Path, report: Callable[[Finding], None]) -> list[_Answer]:
    """Return the rows that have an id, and report the faults of the file as a whole."""
    if data.startswith(codecs.BOM_UTF8):
        report(_warning("byte-order-mark", "the file should not begin with a byte-order mark"))
    try:
        rows = _parse(decode(data, TableFile(path, "a submission")))
    except InputError as error:
        report(_fault("encoding", str(error)))
        raise _UnusableError from error
    except csv.Error as error:
        report(_fault("csv", str(error)))
        raise _UnusableError from error
    names = rows[0][1] if rows else []
    if names != list(HEADER):
        found = ",".join(map(preview_name, names[:_FEW])) or "none"
        report(_fault("header", f"the header must be {','.join(HEADER)}: found {found}"))
    if not set(HEADER) <= set(names):
        raise _UnusableError
    return _answers(rows, report)


def _parse(text: str) -> list[tuple[int, list[str]]]:
    """Return the rows that are not blank, each with the line that it begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for cells in reader:
            if cells:
                rows.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise csv.Error(
            f"the file must be well-formed CSV: line {reader.line_num}: {csv_reason(error)}, in "
            f"the row that begins on line {line}"
        ) from error
    return rows


def _answers(
    rows: Sequence[tuple[int, list[str]]], report: Callable[[Finding], None]
) -> list[_Answer]:
    names = rows[0][1]
    at_id, at_text = map(names.index, HEADER)
    ragged = [
        f"line {line} has {len(cells)}" for line, cells in rows[1:] if len(cells) != len(names)
    ]
    if ragged:
        report(
            _fault(
                "cells", f"each row must have the header's {len(names)} cells: found {_few(ragged)}"
            )
        )
    return [
        _Answer(line, cells[at_id], cells[at_text] if len(cells) == len(names) else None)
        for line, cells in rows[1:]
        if at_id < len(cells)
    ]


def _check_ids(answers: Sequence[_Answer], ids: Sequence[str]) -> Iterator[Finding]:
    lines: dict[str, list[int]] = {}
    for answer in answers:
        lines.setdefault(answer.id, []).append(answer.line)
    known = set(ids)
    missing = [preview_name(name) for name in ids if name not in lines]
    extra = [str(answer) for answer in answers if answer.id not in known]
    repeated = [
        f"{preview_name(name)} (lines {_first(list(map(str, at)))})"
        for name, at in lines.items()
        if len(at) > 1
    ]
    if missing:
        yield _fault(
            "missing-id", f"each id of the test file must be there: missing {_few(missing)}"
        )
    if extra:
        yield _fault("extra-id", f"each id must be one of the test file: found {_few(extra)}")
    if repeated:
        yield _fault("duplicate-id", f"each id must stand once: found {_few(repeated)}")
    yield from _check_order([name for name in lines if name in known], ids, lines)


def _check_order(
    found: Sequence[str], ids: Sequence[str], lines: dict[str, list[int]]
) -> Iterator[Finding]:
    """Compare the order of the ids that are in both files."""
    expected = [name for name in ids if name in lines]
    for name, other in zip(found, expected, strict=True):
        if name != other:
            message = (
                f"rows should be in the test file's order: line {lines[name][0]} has "
                f"{preview_name(name)}, where {preview_name(other)} would be next"
            )
            yield _warning("order", message)
            return


def _check_texts(answers: Sequence[_Answer]) -> Iterator[Finding]:
    texts = [(answer, answer.text) for answer in answers if answer.text is not None]
    null = [
        f"{answer}" if not text else f"{answer}: {text}"
        for answer, text in texts
        if is_null_to_pandas(text)
    ]
    blank = [str(answer) for answer, text in texts if text and not text.strip()]
    if null:
        yield _fault("null", f"no answer may be empty, or what pandas reads so: found {_few(null)}")
    if blank:
        yield _fault("blank", f"an answer must hold more than blanks: found {_few(blank)}")


def _check_tokens(
    answers: Sequence[_Answer], encoder: TokenCounter, max_tokens: int | None
) -> Iterator[Finding]:
    texts = list(dict.fromkeys(answer.text for answer in answers if answer.text))
    counts = dict(zip(texts, map(len, encoder.tokenize(texts)), strict=True)) if texts else {}

    def over(limit: int) -> list[str]:
        return [
            f"{preview_name(answer.id)} (line {answer.line}, {counts[answer.text]:,} tokens)"
            for answer in answers
            if answer.text and counts[answer.text] > limit
        ]

    if max_tokens is not None and (long := over(max_tokens)):
        message = f"an answer may have at most {max_tokens:,} tokens: found {_few(long)}"
        yield _fault("token-budget", message)
    if cut := over(encoder.max_tokens):
        message = f"the model should read answers whole, and cuts them after {encoder.max_tokens:,}"
        yield _warning("truncation", f"{message} tokens: found {_few(cut)}")


def _few(places: Sequence[str]) -> str:
    """Return how many places there are, and the first of them."""
    return f"{len(places):,}: {_first(places)}"


def _first(places: Sequence[str]) -> str:
    return ", ".join([*places[:_FEW], *(["..."] if len(places) > _FEW else [])])


def _fault(rule: str, message: str) -> Finding:
    return Finding("fault", rule, message)


def _warning(rule: str, message: str) -> Finding:
    return Finding("warning", rule, message)
