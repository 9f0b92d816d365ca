"""What a prediction run leaves beside its submission: why, row by row, and how to go on.

The files are those of :mod:`mean_prompt.hybrid.work_files`. A line torn by a kill is passed over,
and its row answered again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mean_prompt.hybrid.answer import Answer
from mean_prompt.hybrid.predictor import FitOutcome
from mean_prompt.hybrid.work_files import ANSWERS, FIT, JOB, PAGE, TABLE, WORK, read_answers
from mean_prompt.system import InputError, RunError, preview, write_atomically


class Journal:
    """The work folder of one submission.

    Args:
        out: the submission's path.
        job: what was asked, as JSON values by name.
        resume: whether to go on with what is there. Work that has decided nothing yet may be
            asked something else, so that a mistake in the first command can be mended.

    Raises:
        InputError: there is work already and ``resume`` is not set, or it was asked something
            else, or there are files that no run made, or the folder cannot be written.
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
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write_job()
        except OSError as error:
            raise InputError(
                f"--out must be in a folder that can be written: {self.folder}: "
                f"{error.strerror or error}; choose another"
            ) from error

    def pin(self, name: str, value: str) -> None:
        """Keep what a run found out about its input, which must be the same when it is resumed.

        Raises:
            InputError: it is not.
            RunError: the folder can no longer be written.
        """
        if name in self._job:
            _check_same(self._job, {name: value}, self.folder)
            return
        self._job[name] = value
        try:
            self._write_job()
        except OSError as error:
            raise _lost(self.folder / JOB, error) from error

    def answers(self) -> dict[str, Answer]:
        """Return the last answer that each row was given, by id."""
        path = self.folder / ANSWERS
        try:
            return read_answers(path)
        except OSError as error:
            raise _unreadable(path, error) from error

    def record(self, answers: Sequence[Answer]) -> None:
        """Append answers.

        Raises:
            RunError: the folder can no longer be written.
        """
        lines = "".join(json.dumps(asdict(answer)) + "\n" for answer in answers)
        path = self.folder / ANSWERS
        try:
            # A torn last line must not swallow the first of these.
            with path.open("ab+") as file:
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    lines = "\n" * (file.read() != b"\n") + lines
                file.write(lines.encode())
        except OSError as error:
            raise _lost(path, error) from error

    def fit(self) -> FitOutcome | None:
        """Return what an earlier fit decided, or ``None``."""
        try:
            return FitOutcome.model_validate_json((self.folder / FIT).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(self.folder / FIT, error) from error
        except ValueError as error:
            raise InputError(
                f"--resume must find whole work: {self.folder / FIT} cannot be read; delete it "
                "to fit anew"
            ) from error

    def record_fit(self, outcome: FitOutcome) -> None:
        """Keep what a fit decided."""
        path = self.folder / FIT
        try:
            write_atomically(path, outcome.model_dump_json(indent=2).encode())
        except OSError as error:
            raise _lost(path, error) from error

    def write_table(self, answers: Sequence[Answer]) -> None:
        """Write the choices as Parquet, a row each, in the test file's order."""
        import io

        import pyarrow as pa
        from pyarrow import parquet

        schema = pa.schema(
            {
                "id": pa.string(),
                "text": pa.string(),
                "kind": pa.string(),
                "expected": pa.float64(),
                "trust": pa.float64(),
                "rule": pa.string(),
                "candidates": pa.int64(),
                "with_llm": pa.bool_(),
                "universal": pa.float64(),
                "prediction": pa.string(),
            }
        )
        rows = [asdict(answer) for answer in answers]
        data = io.BytesIO()
        parquet.write_table(pa.Table.from_pylist(rows, schema=schema), data)
        try:
            write_atomically(self.table, data.getvalue())
        except OSError as error:
            raise _lost(self.table, error) from error

    def _check_place(self, out: Path, kept: Mapping[str, Any] | None, *, resume: bool) -> None:
        """Refuse to go on with what is no work, and to overwrite what is there."""
        if resume and kept is not None:
            return
        there = [path for path in (out, self.table, self.page) if path.exists()]
        if resume and (there or self._has_decided()):
            raise InputError(
                f"--resume must find whole work: {self.folder} has no {JOB} that can be read, "
                f"and {there[0] if there else self.folder} is there; delete it and begin anew"
            )
        if kept is not None:
            there.append(self.folder)
        if there:
            raise InputError(
                f"--out must be a new file: {' and '.join(map(str, there))} "
                f"{'is' if len(there) == 1 else 'are'} there; "
                f"{'give --resume to go on with it, ' if kept else 'give '}another name, or delete "
                f"{'it' if len(there) == 1 else 'them'}"
            )

    def _has_decided(self) -> bool:
        return any((self.folder / name).exists() for name in (FIT, ANSWERS))

    def _write_job(self) -> None:
        data = json.dumps(self._job, indent=2) + "\n"
        write_atomically(self.folder / JOB, data.encode())

    def _kept_job(self) -> dict[str, Any] | None:
        try:
            kept = json.loads((self.folder / JOB).read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
            return None
        except OSError as error:
            raise _unreadable(self.folder / JOB, error) from error
        return kept if isinstance(kept, dict) else None


def _check_same(kept: Mapping[str, Any], job: Mapping[str, Any], folder: Path) -> None:
    wanted = json.loads(json.dumps(job))
    changed = [name for name in wanted if kept.get(name) != wanted[name]]
    if changed:
        name = changed[0]
        raise InputError(
            f"--resume must be asked what the run was asked: {folder} has {name} "
            f"{preview(kept.get(name))}, now it is {preview(wanted[name])}; repeat the command, or "
            "choose another --out"
        )


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"--resume must find whole work: {path}: {error.strerror or error}; make it readable, or "
        "delete the folder"
    )


def _lost(path: Path, error: OSError) -> RunError:
    return RunError(
        f"the run's files must stay writable: {path}: {error.strerror or error}; the submission "
        "is whole"
    )
