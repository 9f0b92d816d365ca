"""Checks a submission CSV for every fault that could make a scorer fail, and says where it is."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from mean_prompt.corpus import TableFile, csv_reason, decode, read_ids
from mean_prompt.hybrid.submission import HEADER, is_null_to_pandas
from mean_prompt.system import InputError, os_errors, preview_name

if TYPE_CHECKING:
    from mean_prompt.encoder import Encoder

#: Most places that one finding names.
_FEW: Final = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule of the submission format that a file breaks, and the lines that break it.

    Attributes:
        severity: a ``fault`` makes the submission invalid; a ``warning`` does not.
    """

    severity: Literal["fault", "warning"]
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """A row of a submission file; ``text`` is ``None`` if it has too few or too many cells."""

    line: int
    id: str
    text: str | None

    def __str__(self) -> str:
        return f"{preview_name(self.id)} (line {self.line})"


def check_submission(
    submission: Path,
    test: Path,
    *,
    encoder: Encoder | None = None,
    max_tokens: int | None = None,
) -> list[Finding]:
    """Check a submission against its test file; return the faults found, then the warnings.

    Args:
        submission: a CSV file; unreadable content is reported as a fault, not raised.
        test: a file with the column ``id``.
        encoder: counts tokens; without one, answers that the model would cut are not found.
        max_tokens: maximum number of tokens of an answer; requires the encoder.

    Raises:
        InputError: the test file cannot be used, or the submission cannot be opened.
    """
    if max_tokens is not None and encoder is None:
        raise ValueError("max_tokens needs an encoder, which counts the tokens")
    ids = read_ids(test)
    with os_errors("a submission must be readable", submission, "check its name and its rights"):
        data = submission.read_bytes()
    findings: list[Finding] = []
    answers = _read(data, submission, findings)
    if answers is not None:
        tokens = _check_tokens(answers, encoder, max_tokens) if encoder else ()
        findings += chain(_check_ids(answers, ids), _check_texts(answers), tokens)
    return sorted(findings, key=lambda finding: finding.severity != "fault")


def _read(data: bytes, path: Path, findings: list[Finding]) -> list[_Answer] | None:
    """Parse a submission's rows and add its faults to ``findings``; ``None`` if it is unusable."""
    if data.startswith(codecs.BOM_UTF8):
        message = "the file should not begin with a byte-order mark"
        findings.append(Finding("warning", "byte-order-mark", message))
    try:
        rows = _parse(decode(data, TableFile(path, "a submission")))
    except (InputError, csv.Error) as error:
        rule = "csv" if isinstance(error, csv.Error) else "encoding"
        findings.append(Finding("fault", rule, str(error)))
        return None
    names = rows[0][1] if rows else []
    if names != list(HEADER):
        found = ",".join(map(preview_name, names[:_FEW])) or "none"
        message = f"the header must be {','.join(HEADER)}: found {found}"
        findings.append(Finding("fault", "header", message))
    return _answers(rows, findings) if set(HEADER) <= set(names) else None


def _parse(text: str) -> list[tuple[int, list[str]]]:
    """Parse CSV text into its non-blank rows, each with the number of the line it begins on."""
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


def _answers(rows: Sequence[tuple[int, list[str]]], findings: list[Finding]) -> list[_Answer]:
    names = rows[0][1]
    at_id, at_text = map(names.index, HEADER)
    ragged = [
        f"line {line} has {len(cells)}" for line, cells in rows[1:] if len(cells) != len(names)
    ]
    must = f"each row must have the header's {len(names)} cells: found"
    findings += _broken("cells", must, ragged)
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
    must = "each id of the test file must be there: missing"
    yield from _broken("missing-id", must, missing)
    yield from _broken("extra-id", "each id must be one of the test file: found", extra)
    yield from _broken("duplicate-id", "each id must stand once: found", repeated)
    yield from _check_order([name for name in lines if name in known], ids, lines)


def _check_order(
    found: Sequence[str], ids: Sequence[str], lines: dict[str, list[int]]
) -> Iterator[Finding]:
    expected = [name for name in ids if name in lines]
    for name, other in zip(found, expected, strict=True):
        if name != other:
            message = (
                f"rows should be in the test file's order: line {lines[name][0]} has "
                f"{preview_name(name)}, where {preview_name(other)} would be next"
            )
            yield Finding("warning", "order", message)
            return


def _check_texts(answers: Sequence[_Answer]) -> Iterator[Finding]:
    texts = [(answer, answer.text) for answer in answers if answer.text is not None]
    null = [
        f"{answer}" if not text else f"{answer}: {text}"
        for answer, text in texts
        if is_null_to_pandas(text)
    ]
    blank = [str(answer) for answer, text in texts if text and not text.strip()]
    must = "no answer may be empty, or what pandas reads so: found"
    yield from _broken("null", must, null)
    yield from _broken("blank", "an answer must hold more than blanks: found", blank)


def _check_tokens(
    answers: Sequence[_Answer], encoder: Encoder, max_tokens: int | None
) -> Iterator[Finding]:
    texts = list(dict.fromkeys(answer.text for answer in answers if answer.text))
    counts = dict(zip(texts, map(len, encoder.tokenize(texts)), strict=True)) if texts else {}

    def over(limit: int) -> list[str]:
        return [
            f"{preview_name(answer.id)} (line {answer.line}, {counts[answer.text]:,} tokens)"
            for answer in answers
            if answer.text and counts[answer.text] > limit
        ]

    if max_tokens is not None:
        must = f"an answer may have at most {max_tokens:,} tokens: found"
        yield from _broken("token-budget", must, over(max_tokens))
    limit = encoder.max_tokens
    must = f"the model should read answers whole, and cuts them after {limit:,} tokens: found"
    yield from _broken("truncation", must, over(limit), "warning")


def _broken(
    rule: str, must: str, places: Sequence[str], severity: Literal["fault", "warning"] = "fault"
) -> list[Finding]:
    """Return a finding that counts and names the places that break a rule; empty if none do."""
    message = f"{must} {len(places):,}: {_first(places)}"
    return [Finding(severity, rule, message)] if places else []


def _first(places: Sequence[str]) -> str:
    return ", ".join([*places[:_FEW], *(["..."] if len(places) > _FEW else [])])
