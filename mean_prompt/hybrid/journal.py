"""What a prediction run leaves beside its submission: why, row by row, and how to go on.

``submission.csv`` has a folder ``submission.work`` beside it: ``job.json`` says what was asked,
``fit.json`` what the fit decided, ``answers.jsonl`` holds every answer as it was given. A line
torn by a kill is passed over, and its row answered again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from mean_prompt.atomic import write_atomically
from mean_prompt.errors import InputError, RunError
from mean_prompt.hybrid.blend import Answer, FitOutcome

_JOB: Final = "job.json"
_FIT: Final = "fit.json"
_ANSWERS: Final = "answers.jsonl"


class Journal:
    """The work folder of one submission.

    Args:
        out: the submission's path.
        job: what was asked, as JSON values by name.
        resume: whether to go on with what is there.

    Raises:
        InputError: there is work already and ``resume`` is not set, or it was asked something
            else, or the folder cannot be written.
    """

    def __init__(self, out: Path, job: Mapping[str, Any], *, resume: bool) -> None:
        self.folder = out.with_suffix(".work")
        self.table = out.with_suffix(".parquet")
        self._out = out
        kept = self._kept_job()
        if kept is None and resume and self.folder.exists():
            raise InputError(
                f"--resume must find whole work: {self.folder} has no {_JOB} that can be read; "
                "delete it and begin anew"
            )
        if not resume and (kept is not None or out.exists()):
            raise InputError(
                f"--out must be a new file: {out if out.exists() else self.folder} is there; "
                "give --resume to go on with it, another name, or delete it"
            )
        if kept is not None:
            _check_same(kept, job, self.folder)
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.folder / _JOB, (json.dumps(job, indent=2) + "\n").encode())
        except OSError as error:
            raise InputError(
                f"--out must be in a folder that can be written: {self.folder}: "
                f"{error.strerror or error}; choose another"
            ) from error

    def answers(self) -> dict[str, Answer]:
        """Return the last answer that each row was given, by id."""
        try:
            lines = (self.folder / _ANSWERS).read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        found: dict[str, Answer] = {}
        for line in lines:
            try:
                answer = Answer(**json.loads(line))
            except (ValueError, TypeError):  # torn by a kill
                continue
            found[answer.id] = answer
        return found

    def record(self, answers: Sequence[Answer]) -> None:
        """Append answers.

        Raises:
            RunError: the folder can no longer be written.
        """
        lines = "".join(json.dumps(asdict(answer)) + "\n" for answer in answers)
        path = self.folder / _ANSWERS
        try:
            # A torn last line must not swallow the first of these.
            torn = path.exists() and not path.read_bytes().endswith(b"\n")
            with path.open("a", encoding="utf-8", newline="\n") as file:
                file.write("\n" * torn + lines)
        except OSError as error:
            raise _lost(path, error) from error

    def fit(self) -> FitOutcome | None:
        """Return what an earlier fit decided, or ``None``."""
        try:
            return FitOutcome.model_validate_json((self.folder / _FIT).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise InputError(
                f"--resume must find whole work: {self.folder / _FIT} cannot be read; delete it "
                "to fit anew"
            ) from error

    def record_fit(self, outcome: FitOutcome) -> None:
        """Keep what a fit decided."""
        path = self.folder / _FIT
        try:
            write_atomically(path, outcome.model_dump_json(indent=2).encode())
        except OSError as error:
            raise _lost(path, error) from error

    def write_table(self, answers: Sequence[Answer]) -> None:
        """Write the choices as Parquet, a row each, in the test file's order."""
        import io

        import polars as pl

        schema = {
            "id": pl.String,
            "text": pl.String,
            "kind": pl.String,
            "expected": pl.Float64,
            "trust": pl.Float64,
            "rule": pl.String,
            "candidates": pl.Int64,
            "with_llm": pl.Boolean,
        }
        data = io.BytesIO()
        pl.DataFrame([asdict(answer) for answer in answers], schema=schema).write_parquet(data)
        try:
            write_atomically(self.table, data.getvalue())
        except OSError as error:
            raise _lost(self.table, error) from error

    def discard_if_unused(self) -> None:
        """Remove the folder where nothing was answered and no submission stands beside it."""
        if not self._out.exists() and not (self.folder / _ANSWERS).exists():
            shutil.rmtree(self.folder, ignore_errors=True)

    def _kept_job(self) -> dict[str, Any] | None:
        try:
            kept = json.loads((self.folder / _JOB).read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return kept if isinstance(kept, dict) else None


def _check_same(kept: Mapping[str, Any], job: Mapping[str, Any], folder: Path) -> None:
    wanted = json.loads(json.dumps(job))
    changed = [name for name in wanted if kept.get(name) != wanted[name]]
    if changed:
        name = changed[0]
        raise InputError(
            f"--resume must be asked what the run was asked: {folder} has {name} "
            f"{_short(kept.get(name))}, now it is {_short(wanted[name])}; repeat the command, or "
            "choose another --out"
        )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _lost(path: Path, error: OSError) -> RunError:
    return RunError(
        f"the run's files must stay writable: {path}: {error.strerror or error}; the submission "
        "is whole"
    )
