"""Views of a row: strings made of its texts, whose vectors its prompt is predicted from.

A view is a name and a function from a :class:`Row` to a string, or to several whose mean vector
counts. To add one takes a few lines::

    from mean_prompt import VIEWS, VectorPredictor, RowView

    title = RowView("title", lambda row: row.rewritten.partition("**")[2].partition("**")[0])
    predictor = VectorPredictor(views=(*VIEWS, title))
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from mean_prompt.training.wording import Wording, first_line, last_line

if TYPE_CHECKING:
    from mean_prompt.corpus import Rows
    from mean_prompt.encoder import EmbeddingSpace
    from mean_prompt.objective import Vectors
    from mean_prompt.system import Deadline

#: Predictions of one row that are used, the likeliest first.
MOST_PREDICTIONS: Final = 4
#: Heads of known prompts that a row's subject, or a prediction's, is put behind in a view.
_REQUESTS: Final = 3
_TEMPLATES: Final = 6
#: Characters of a rewrite's bold passages that are read.
_BOLD: Final = 300


@dataclass(frozen=True, slots=True)
class Row:
    """The texts of one row, and how known rows are worded, from which views make strings."""

    original: str
    rewritten: str
    predictions: tuple[str, ...]
    wording: Wording

    @property
    def line(self) -> str:
        """The rewrite's first line, without Markdown marks."""
        return first_line(self.rewritten)

    @property
    def subject(self) -> str:
        """The first line without its opener, such as ``Sure, here is the text as a``."""
        return self.wording.openers.rest(self.line).rstrip(" :")

    @property
    def has_opener(self) -> bool:
        """Whether the first line begins as those of rows with other prompts do."""
        return self.wording.openers.length(self.line) > 0

    @property
    def requests(self) -> tuple[str, ...]:
        """The subject behind the heads of known prompts, as a prompt would name it."""
        subject = self.subject
        return tuple(f"{head} {subject}" for head in self.wording.heads) if subject else ()

    @property
    def templates(self) -> tuple[str, ...]:
        """The predictions, their own heads replaced by the commonest of known prompts."""
        tails = [self.wording.predicted.rest(text) for text in self.predictions]
        heads = self.wording.heads[:_TEMPLATES]
        return tuple(f"{head} {tail}" for tail in tails if tail for head in heads)


def rows_of(rows: Rows, predictions: Sequence[Sequence[str]] | None, wording: Wording) -> list[Row]:
    """Return the rows with their predictions, if given, worded as known rows are."""
    given = predictions or [()] * len(rows)
    return [
        Row(original, rewritten, tuple(texts[:MOST_PREDICTIONS]), wording)
        for original, rewritten, texts in zip(rows.originals, rows.rewritten, given, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class RowView:
    """A view of rows, by name.

    Attributes:
        strings: a function that makes of a row a string, or several; blank ones count as none.
        of_prediction: whether the view exists only for rows with a prediction.
        by_opener: whether rows whose first line has an opener get a scalar of their own.
    """

    name: str
    strings: Callable[[Row], str | Sequence[str]]
    of_prediction: bool = False
    by_opener: bool = False


#: The views that a :class:`~mean_prompt.training.vector.VectorPredictor` has by default.
VIEWS: Final = (
    RowView("original", lambda row: row.original),
    RowView("rewritten", lambda row: row.rewritten, by_opener=True),
    RowView("first line", lambda row: row.line, by_opener=True),
    RowView("subject", lambda row: row.subject, by_opener=True),
    RowView("requests", lambda row: row.requests[:_REQUESTS], by_opener=True),
    RowView("last line", lambda row: last_line(row.rewritten)),
    RowView("headings", lambda row: " ".join(re.findall(r"\*\*(.+?)\*\*", row.rewritten))[:_BOLD]),
    RowView("predictions", lambda row: row.predictions, of_prediction=True, by_opener=True),
    RowView("templates", lambda row: row.templates, of_prediction=True, by_opener=True),
)
#: Views that simpler predictors are limited to: the texts themselves and the predictions.
PLAIN: Final = ("original", "rewritten", "predictions")


def embed_views(
    rows: Sequence[Row],
    views: Sequence[RowView],
    space: EmbeddingSpace,
    deadline: Deadline | None = None,
) -> Vectors:
    """Return (m, n, d) mean vectors of n rows' strings in m views; zeros where there is none."""
    strings = [[_strings(view, row) for row in rows] for view in views]
    flat = list(dict.fromkeys(text for view in strings for texts in view for text in texts))
    number = {text: n for n, text in enumerate(flat)}
    vectors = space.screened(flat, "views", deadline)
    found = np.zeros((len(views), len(rows), space.dimension), np.float32)
    for view, made in enumerate(strings):
        for row, texts in enumerate(made):
            if texts:
                found[view, row] = vectors[[number[text] for text in texts]].mean(axis=0)
    return found


def _strings(view: RowView, row: Row) -> list[str]:
    made = view.strings(row)
    return [text for text in ([made] if isinstance(made, str) else made) if text.strip()]


def split_by_opener(vectors: Vectors, rows: Sequence[Row], views: Sequence[RowView]) -> Vectors:
    """Append to (m, n, d) views those that are ``by_opener``, zeros for rows without an opener."""
    split = [number for number, view in enumerate(views) if view.by_opener]
    opened = np.array([row.has_opener for row in rows], np.float32)
    return np.concatenate([vectors, vectors[split] * opened[None, :, None]])
