"""The files beside a submission, for those who only read them.

``submission.csv`` has a folder ``submission.work`` beside it: ``job.json`` says what was asked,
``fit.json`` what the fit decided, ``answers.jsonl`` holds every answer as it was given. At the end
``submission.parquet`` holds the choices, and ``submission.html`` shows them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from mean_prompt.hybrid.answer import Answer

JOB: Final = "job.json"
FIT: Final = "fit.json"
ANSWERS: Final = "answers.jsonl"
#: Suffixes of the work folder, the table of choices and the page.
WORK: Final = ".work"
TABLE: Final = ".parquet"
PAGE: Final = ".html"


def read_answers(path: Path) -> dict[str, Answer]:
    """Return the last answer that each row was given, by id; none where there is no file.

    Lines torn by a kill, and those that are no answer, are passed over.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    found: dict[str, Answer] = {}
    for line in lines:
        try:
            answer = Answer(**json.loads(line))
        except (ValueError, TypeError, RecursionError):
            continue
        if isinstance(answer.id, str) and isinstance(answer.text, str):
            found[answer.id] = answer
    return found
