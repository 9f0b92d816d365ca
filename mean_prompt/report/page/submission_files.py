"""Read a submission (one predicted prompt per row), and how its answers were chosen."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from mean_prompt.corpus import TableFile, open_rows, read_columns
from mean_prompt.hybrid import ANSWERS, FIT, HEADER, JOB, PAGE, TABLE, WORK, Answer, read_answers
from mean_prompt.system import InputError

#: Kind of an answer that neither the table nor the journal holds.
UNEXPLAINED: Final = "not explained"

_FIELDS: Final = tuple(field.name for field in fields(Answer))
_NEEDED: Final = _FIELDS[: _FIELDS.index("universal")]
_CHECKED: Final = TypeAdapter(Answer)


@dataclass(frozen=True, slots=True)
class SubmissionFiles:
    """A submission, which has one answer (predicted prompt) per row, and how each was chosen.

    Attributes:
        answers: the answers in the submission's order. An answer that neither the table nor the
            journal holds is of the kind ``not explained``.
        job: the prediction run's request, from its journal; empty without a journal.
        fit: the settings that were fitted, from the journal; empty without one.
    """

    path: Path
    answers: tuple[Answer, ...]
    job: dict[str, Any]
    fit: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> SubmissionFiles:
        """Read a submission, and the table and journal of its answers next to it.

        The journal (a folder that a prediction run writes as it goes) holds more than the table if
        the run was killed; it may be missing. An entry counts only if its text is the submission's.

        The path may also be that of the table.

        Raises:
            InputError: the path is no submission, there is neither table nor journal, or a file is
                damaged.
        """
        work = path.with_suffix(WORK)
        job = _read_object(work / JOB)
        known = {answer.id: answer for answer in _table(path.with_suffix(TABLE))}
        known |= {answer.id: answer for answer in _journal(work / ANSWERS)}
        if not known and not job:
            raise InputError(
                f"a report is of a submission that predict wrote: beside {path} there is neither "
                f"{path.with_suffix(TABLE).name} nor {work.name}; name one that has them"
            )
        submission = path.with_suffix(".csv") if path.suffix == TABLE else path
        answers = tuple(_explained(submission, known, job.get("universal")))
        return cls(submission, answers, job, _read_object(work / FIT))

    @property
    def universal(self) -> str | None:
        """The universal string (one for all rows); ``None`` if no file holds it any more."""
        asked = self.job.get("universal")
        if isinstance(asked, str):
            return asked
        kept = (answer.text for answer in self.answers if answer.kind == "universal")
        return next(kept, None)

    @property
    def page(self) -> Path:
        """The path of the submission's HTML report."""
        return self.path.with_suffix(PAGE)


def _explained(path: Path, known: dict[str, Answer], universal: object) -> Iterator[Answer]:
    """Yield a submission's answers, with details from ``known`` if the text is the same."""
    columns = read_columns(path, HEADER)
    for name, text in zip(*(columns[column] for column in HEADER), strict=True):
        answer = known.get(name)
        if answer is not None and answer.text == text:
            yield answer
        elif text == universal:
            yield Answer(name, text, "universal", None, None, "no time", 0, with_llm=False)
        else:
            yield Answer(name, text, UNEXPLAINED, None, None, "no time", 0, with_llm=False)


def _table(path: Path) -> Iterator[Answer]:
    """Yield the answers in the table next to a submission; none if there is no table."""
    if not path.exists():
        return
    source = TableFile(path, "a submission's table")
    try:
        with open_rows(source, lambda names: _chosen(names, path)) as rows:
            for number, cells in rows.cells:
                yield _checked(dict(zip(rows.names, cells, strict=True)), f"{path}, row {number}")
    except OSError as error:
        raise _unreadable(path, error) from error


def _chosen(names: Sequence[str], path: Path) -> list[str]:
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise InputError(
            f"a submission's table must have the columns {', '.join(_NEEDED)}: {path} lacks "
            f"{', '.join(missing)}; it is not of predict, or not whole; move it away"
        )
    return [name for name in _FIELDS if name in names]


def _journal(path: Path) -> Iterator[Answer]:
    try:
        answers = read_answers(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    for answer in answers.values():
        yield _checked(asdict(answer), f"{path}, row {answer.id}")


def _checked(values: dict[Any, Any], place: str) -> Answer:
    try:
        answer = _CHECKED.validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InputError(
            f"each answer must be whole: {place}: {'.'.join(map(str, first['loc']))}: "
            f"{first['msg']}; move the file away, or predict again"
        ) from error
    # NaN and infinity, which can be neither drawn nor averaged, become ``None``.
    names = ("expected", "trust", "universal")
    odd = [name for name in names if not math.isfinite(getattr(answer, name) or 0.0)]
    return replace(answer, **dict.fromkeys(odd))  # type: ignore[arg-type]


def _read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file; return an empty one if there is no file."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"a submission's work must be whole: {path} is no JSON; move it away"
        ) from error
    return found if isinstance(found, dict) else {}


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"a submission must be readable: {path}: {error.strerror or error}")
