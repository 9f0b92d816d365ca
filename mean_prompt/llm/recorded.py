"""Read an LLM's earlier predictions from a column of a file, and match them to rows by id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from mean_prompt.corpus import Rows, read_columns
from mean_prompt.llm.base import Counts, Examples, Prediction
from mean_prompt.llm.cleaning import RULES_VERSION
from mean_prompt.system import Deadline, InputError

#: Columns taken as the predictions when none is named, in this order.
COLUMN_GUESSES: Final = ("llm_prediction", "prediction", "rewrite_prompt")


class RecordedPredictor:
    """Predictor that returns recorded predictions, which an LLM made earlier, by row id.

    Several predictions for one id are all used. A row whose id has none gets no prediction;
    that is counted, and is not a fault.

    Args:
        predictions: the LLM's answers as written; a blank one is no prediction.
    """

    def __init__(self, ids: Sequence[str], predictions: Sequence[str], *, source: str) -> None:
        self._answers: dict[str, list[str]] = {}
        digest = hashlib.sha256()
        for name, prediction in zip(ids, predictions, strict=True):
            answers = self._answers.setdefault(name, [])
            if prediction.strip():
                answers.append(prediction)
            digest.update(repr((name, prediction)).encode())
        self._source = source
        self.identity = f"recorded {digest.hexdigest()} cleaning={RULES_VERSION}"
        self._counts = Counts()

    @classmethod
    def from_file(cls, path: Path, column: str | None = None) -> Self:
        """Read predictions from a CSV, TSV, JSONL, JSON or Parquet file with a column ``id``.

        If ``column`` is ``None``, they are in the first of ``COLUMN_GUESSES`` that the file has.

        Raises:
            InputError: the file cannot be read, or lacks the columns.
        """
        if column is not None:
            table = read_columns(path, ["id", column])
            return cls(table["id"], table[column], source=f"column {column!r} of {path}")
        table = read_columns(path, ["id"], COLUMN_GUESSES)
        found = [guess for guess in COLUMN_GUESSES if guess in table]
        if not found:
            raise InputError(
                f"a file of predictions must have a column {', '.join(COLUMN_GUESSES)}, or be "
                f"given as file:PATH#COLUMN: {path} has none of these"
            )
        return cls(table["id"], table[found[0]], source=f"column {found[0]!r} of {path}")

    def predict(
        self,
        rows: Rows,
        examples: Examples | None = None,  # noqa: ARG002 nothing is asked
        *,
        deadline: Deadline | None = None,
    ) -> Iterator[Prediction]:
        """Yield each row's recorded predictions, found by the row's id.

        Raises:
            InputError: none of the ids has a prediction: the file is for other rows.
        """
        if len(rows) and not any(name in self._answers for name in rows.ids):
            raise InputError(
                f"recorded predictions must be for the rows asked about: {self._source} knows "
                f"none of the {len(rows):,} ids (the first is {rows.ids[0]!r}); check the file, "
                "and that its ids are written the same way"
            )
        for row, name in enumerate(rows.ids):
            if deadline is not None and deadline.expired:
                return
            yield self._counts.prediction(row, self._answers.get(name, []), blank_fault=None)

    def notes(self) -> list[str]:
        """Return lines on the source, the rows with a prediction, and the answers cleaned."""
        return [f"recorded predictions: {self._source}", *self._counts.notes()]
