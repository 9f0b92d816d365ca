"""The answers so far, on disk after every change: in the submission, and with their reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mean_prompt.corpus import Rows
from mean_prompt.hybrid.answer import Answer
from mean_prompt.hybrid.journal import Journal
from mean_prompt.hybrid.submission import Submission

#: Rules by which a row keeps the universal string whatever is predicted for it.
_FINAL: Final = ("blank", "unchanged")


class AnswerSheet:
    """The answers to the rows of a test file.

    Args:
        rows: the rows to answer.
        submission: the file of the answers, which is written at once.
        journal: the record of the answers; those of an earlier run are taken from it.
    """

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
        """Return the rows that still need an answer, or one that a prediction was weighed for."""
        return [row for row in range(len(self.rows)) if self.is_open(row, with_llm=with_llm)]

    def is_open(self, row: int, *, with_llm: bool = False) -> bool:
        """Return whether a row needs an answer, or one that a prediction was weighed for."""
        answer = self._answers.get(self.rows.ids[row])
        if answer is None:
            return True
        if not with_llm or answer.rule in _FINAL:
            return False
        return not answer.with_llm or answer.rule == "not fitted"

    def keep(self, answers: Sequence[Answer]) -> None:
        """Record answers in the journal and write the submission with them.

        Raises:
            RunError: either can no longer be written.
        """
        if not answers:
            return
        for answer in answers:
            self._answers[answer.id] = answer
            self._submission.put(self._numbers[answer.id], answer.text)
        self.journal.record(answers)
        self._submission.save()

    def save(self) -> None:
        """Write the submission unless it holds all answers already."""
        self._submission.save()

    def close(self) -> list[Answer]:
        """Write the table of the answers and return them, those that had no time included."""
        text = self._submission.fallback
        answers = [
            self._answers.get(name)
            or Answer(name, text, "universal", None, None, "no time", 0, with_llm=False)
            for name in self.rows.ids
        ]
        self.journal.write_table(answers)
        return answers
