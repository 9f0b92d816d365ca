"""The files written beside a submission: the request, the fitted settings and the answers.

``submission.csv`` has a folder ``submission.work`` beside it: ``job.json`` holds what was asked,
``fit.json`` what the fit decided, ``answers.jsonl`` every answer as it was given. At the end
``submission.parquet`` holds the answers with their reasons, and ``submission.html`` shows them.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Final

from mean_prompt.corpus import Rows
from mean_prompt.hybrid.answer import Answer
from mean_prompt.hybrid.settings import FitOutcome
from mean_prompt.hybrid.submission import Submission
from mean_prompt.system import InputError, RunError, os_errors, preview, write_atomically

JOB: Final = "job.json"
FIT: Final = "fit.json"
ANSWERS: Final = "answers.jsonl"
#: Suffixes of the work folder, the table of answers and the page.
WORK: Final = ".work"
TABLE: Final = ".parquet"
PAGE: Final = ".html"

#: Rules by which a row keeps the universal string whatever is predicted for it.
_FINAL: Final = ("blank", "unchanged")

_RESUMABLE: Final = "--resume must find whole work"
_READABLE: Final = "make it readable, or delete the folder"
_WRITABLE: Final = "the run's files must stay writable"
_WHOLE: Final = "the submission is whole"


def read_answers(path: Path) -> dict[str, Answer]:
    """Return the last answer recorded for each row, by row id; empty if there is no file.

    Lines cut short by a kill, and lines that hold no answer, are skipped.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    found: dict[str, Answer] = {}
    for line in lines:
        try:
            answer = Answer(**json.loads(line))
            answer = replace(answer, predictions=tuple(answer.predictions))  # JSON has lists
        except (ValueError, TypeError, RecursionError):
            continue
        if isinstance(answer.id, str) and isinstance(answer.text, str):
            found[answer.id] = answer
    return found


class Journal:
    """The work folder of a submission, from which an interrupted prediction run is resumed.

    ``job`` is the request, as JSON values by name. If ``resume`` is true, existing work is
    continued; its request may differ only if it has no fit and no answer yet, so that a mistake
    in the first command can be fixed. Otherwise existing files raise InputError.
    """

    def __init__(self, out: Path, job: Mapping[str, Any], *, resume: bool) -> None:
        self.folder = out.with_suffix(WORK)
        self.table = out.with_suffix(TABLE)
        self.page = out.with_suffix(PAGE)
        if out in {self.folder, self.table, self.page}:
            raise InputError(
                f"--out must be a CSV file: {out} is the name of what is written beside it; name "
                "it .csv"
            )
        kept = self._kept_job()
        self._check_place(out, kept, resume=resume)
        if kept is not None and self._has_decided():
            _check_same(kept, job, self.folder)
            self._job = kept
            return
        self._job = dict(job)
        rule = "--out must be in a folder that can be written"
        with os_errors(rule, self.folder, "choose another"):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write_job()

    def pin(self, name: str, value: str) -> None:
        """Record a fact about the input; raise InputError if another value was recorded before."""
        if name in self._job:
            _check_same(self._job, {name: value}, self.folder)
            return
        self._job[name] = value
        with os_errors(_WRITABLE, self.folder / JOB, _WHOLE, raises=RunError):
            self._write_job()

    def answers(self) -> dict[str, Answer]:
        """Return the last answer recorded for each row, by row id."""
        path = self.folder / ANSWERS
        with os_errors(_RESUMABLE, path, _READABLE):
            return read_answers(path)

    def record(self, answers: Sequence[Answer]) -> None:
        """Append answers to the file of recorded answers, one JSON line each."""
        lines = "".join(json.dumps(asdict(answer)) + "\n" for answer in answers)
        path = self.folder / ANSWERS
        with os_errors(_WRITABLE, path, _WHOLE, raises=RunError), path.open("ab+") as file:
            # The first new answer must not be appended to a last line cut short by a kill.
            if file.tell():
                file.seek(-1, os.SEEK_END)
                lines = "\n" * (file.read() != b"\n") + lines
            file.write(lines.encode())

    def fit(self) -> FitOutcome | None:
        """Return the settings recorded by an earlier fit, or ``None``."""
        path = self.folder / FIT
        try:
            with os_errors(_RESUMABLE, path, _READABLE):
                content = path.read_bytes() if path.exists() else None
            return None if content is None else FitOutcome.model_validate_json(content)
        except ValueError as error:
            raise InputError(
                f"{_RESUMABLE}: {path} cannot be read; delete it to fit again"
            ) from error

    def record_fit(self, outcome: FitOutcome) -> None:
        """Record the settings that a fit chose, as JSON."""
        path = self.folder / FIT
        with os_errors(_WRITABLE, path, _WHOLE, raises=RunError):
            write_atomically(path, outcome.model_dump_json(indent=2).encode())

    def write_table(self, answers: Sequence[Answer]) -> None:
        """Write the answers and why they were chosen as Parquet, in the test file's order."""
        import pyarrow as pa
        from pyarrow import parquet

        types = {"candidates": pa.int64(), "with_llm": pa.bool_()}
        types |= dict.fromkeys(("expected", "trust", "universal", "choice_expected"), pa.float64())
        types["predictions"] = pa.list_(pa.string())
        names = [field.name for field in fields(Answer)]
        schema = pa.schema({name: types.get(name, pa.string()) for name in names})
        rows = [asdict(answer) for answer in answers]
        data = io.BytesIO()
        parquet.write_table(pa.Table.from_pylist(rows, schema=schema), data)
        with os_errors(_WRITABLE, self.table, _WHOLE, raises=RunError):
            write_atomically(self.table, data.getvalue())

    def _check_place(self, out: Path, kept: Mapping[str, Any] | None, *, resume: bool) -> None:
        """Raise InputError if work to resume is incomplete, or if files would be overwritten."""
        if resume and kept is not None:
            return
        there = [path for path in (out, self.table, self.page) if path.exists()]
        if kept is not None or self._has_decided():
            there.append(self.folder)
        if not there:
            return
        if resume:
            raise InputError(
                f"{_RESUMABLE}: {self.folder} has no {JOB} that can be read, and {there[0]} is "
                "there; delete it and start again"
            )
        is_one = len(there) == 1
        raise InputError(
            f"--out must be a new file: {' and '.join(map(str, there))} "
            f"{'is' if is_one else 'are'} there; give "
            f"{'--resume to continue it, ' if kept else ''}another name, or delete "
            f"{'it' if is_one else 'them'}"
        )

    def _has_decided(self) -> bool:
        return any((self.folder / name).exists() for name in (FIT, ANSWERS))

    def _write_job(self) -> None:
        write_atomically(self.folder / JOB, f"{json.dumps(self._job, indent=2)}\n".encode())

    def _kept_job(self) -> dict[str, Any] | None:
        path = self.folder / JOB
        try:
            with os_errors(_RESUMABLE, path, _READABLE):
                kept = json.loads(path.read_text("utf-8")) if path.exists() else None
        except (ValueError, RecursionError):
            return None
        return kept if isinstance(kept, dict) else None


def _check_same(kept: Mapping[str, Any], job: Mapping[str, Any], folder: Path) -> None:
    for name, value in json.loads(json.dumps(job)).items():
        if kept.get(name) != value:
            raise InputError(
                f"--resume must be asked what the run was asked: {folder} has {name} "
                f"{preview(kept.get(name))}, now it is {preview(value)}; repeat the command, or "
                "choose another --out"
            )


class AnswerSheet:
    """The answers given so far to a test file's rows, kept in a journal and a submission."""

    def __init__(self, rows: Rows, submission: Submission, journal: Journal) -> None:
        self.rows = rows
        self.journal = journal
        self._submission = submission
        self._numbers = {name: row for row, name in enumerate(rows.ids)}
        self._answers = journal.answers()
        for answer in self._answers.values():
            submission.put(self._numbers[answer.id], answer.text)
        submission.write()

    def open_rows(self, *, with_llm: bool) -> list[int]:
        """Return the numbers of the rows that still need an answer, as :meth:`is_open` decides."""
        return [row for row in range(len(self.rows)) if self.is_open(row, with_llm=with_llm)]

    def is_open(self, row: int, *, with_llm: bool = False) -> bool:
        """Return whether a row has no answer or, if ``with_llm``, none that weighs a prediction."""
        answer = self._answers.get(self.rows.ids[row])
        if answer is None:
            return True
        if not with_llm or answer.rule in _FINAL:
            return False
        return not answer.with_llm or answer.rule == "not fitted"

    def answer(self, row: int) -> Answer:
        """Return the answer given to a row."""
        return self._answers[self.rows.ids[row]]

    def weighed(self) -> list[int]:
        """Return the rows whose answers were chosen by weighing candidates."""
        given = [self._answers.get(name) for name in self.rows.ids]
        return [row for row, one in enumerate(given) if one is not None and one.rule == "blend"]

    def unsearched(self) -> list[int]:
        """Return the rows of :meth:`weighed` for which row search was not settled yet."""
        return [row for row in self.weighed() if self.answer(row).choice is None]

    def keep(self, answers: Sequence[Answer]) -> None:
        """Record answers in the journal and write the submission with them."""
        if not answers:
            return
        for answer in answers:
            self._answers[answer.id] = answer
            self._submission.put(self._numbers[answer.id], answer.text)
        self.journal.record(answers)
        self._submission.save()

    def save(self) -> None:
        """Write the submission file unless it already holds all answers given so far."""
        self._submission.save()

    def close(self) -> list[Answer]:
        """Write the table of answers and return them, unanswered rows with the universal string."""
        text = self._submission.fallback
        answers = [
            self._answers.get(name)
            or Answer(name, text, "universal", None, None, "no time", 0, with_llm=False)
            for name in self.rows.ids
        ]
        self.journal.write_table(answers)
        return answers
