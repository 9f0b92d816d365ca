"""Predicts the vector of a row's prompt, from vectors of strings made of the row's texts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import Rows, Triples
from mean_prompt.encoder import EmbeddingSpace, Encoder, load_encoder
from mean_prompt.objective import Vectors
from mean_prompt.system import Deadline, InputError
from mean_prompt.training.ladder import Forecast, Ladder, mean_scs
from mean_prompt.training.regression import Fitter
from mean_prompt.training.views import (
    PLAIN,
    VIEWS,
    Row,
    RowView,
    embed_views,
    rows_of,
    split_by_opener,
)
from mean_prompt.training.wording import Wording

Texts = Sequence[Sequence[str]]

#: Known rows that a predictor is fitted to, at most: time grows with the cube, and 438 rows more
#: than 511 changed nothing.
_MOST: Final = 2_000
#: Different prompts that there must be, and known rows with a prediction to learn from these.
LEAST_PROMPTS: Final = 3
LEAST_PREDICTED: Final = 24


@dataclass(frozen=True, slots=True, eq=False)
class FittedViews:
    """A ladder of predictors fitted to known rows, with or without predictions.

    Attributes:
        left_out: forecasts of the known rows by rows of other prompts.
        keys: a hash of each of these rows, to know it again.
        rows: their numbers among the rows that the predictor was fitted to.
    """

    views: tuple[RowView, ...]
    ladder: Ladder
    left_out: Forecast
    keys: tuple[str, ...]
    rows: NDArray[np.int64]

    def forecast(
        self,
        rows: Sequence[Row],
        space: EmbeddingSpace,
        deadline: Deadline | None = None,
        *,
        keys: Sequence[str] | None = None,
    ) -> Forecast:
        """Return where the prompts of rows are expected.

        If the rows' ``keys`` are given, those that this was fitted to are forecast by rows of other
        prompts.
        """
        number = {key: n for n, key in enumerate(self.keys)}
        fitted = np.array([number.get(key, -1) for key in keys or ()], np.int64)
        new = np.flatnonzero(fitted < 0).tolist() if keys else list(range(len(rows)))
        found = self.left_out.take(np.maximum(fitted, 0)) if keys else None
        if found is not None and not new:
            return found
        asked = [rows[row] for row in new]
        vectors = embed_views(asked, self.views, space, deadline)
        forecast = self.ladder.forecast(split_by_opener(vectors, asked, self.views))
        return forecast if found is None else found.with_rows(new, forecast)


class VectorPredictor:
    """Predicts the unit vector of each row's prompt by regression on the row's views.

    Known rows have a given true prompt. Among a regression on all views, one on the texts alone,
    and the mean of the known prompts, cross-validation chooses; all rows of one prompt, and of
    near-duplicates of it, are left out together.

    Args:
        encoder: the model, or its name or folder; the default of a search if ``None``.
        views: what is made of a row, see :mod:`~mean_prompt.training.views`.
        seed: seed of the sample that is taken of very many known rows.
        space: the encoder with its cache of vectors, in place of ``encoder``.

    Attributes:
        text_, llm_: fitted without predictions, and with them; ``llm_`` is ``None`` if too few
            known rows had one.
        wording_: how the known rows are worded.
        data_hash_: SHA-256 of the known rows.
    """

    def __init__(
        self,
        encoder: Encoder | str | None = None,
        *,
        views: Sequence[RowView] = VIEWS,
        seed: int = 0,
        space: EmbeddingSpace | None = None,
    ) -> None:
        if space is None:
            loaded = encoder if isinstance(encoder, Encoder) else load_encoder(encoder)
            space = EmbeddingSpace(loaded)
        self.space = space
        self.views = tuple(views)
        self.seed = seed
        names = [view.name for view in self.views]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise InputError(
                f"each view must have a name of its own: {doubled[0]!r} is there twice; rename one"
            )

    def fit(
        self,
        triples: Triples,
        predictions: Texts | None = None,
        *,
        deadline: Deadline | None = None,
    ) -> Self:
        """Fit to known rows and, if given, an LLM's predictions for each, empty for none.

        Raises:
            InputError: the known rows have fewer than three different prompts.
            OutOfTimeError: the deadline expired.
        """
        groups = triples.near_groups()
        if (found := len(np.unique(groups))) < LEAST_PROMPTS:
            raise InputError(
                f"known rows must have at least {LEAST_PROMPTS} prompts that are not nearly the "
                f"same, to test predictions on rows of others: found {found} in "
                f"{len(triples)} rows; give more"
            )
        drawn = _drawn(groups, self.seed)
        self.data_hash_ = triples.content_hash
        self.wording_ = Wording.of(triples, predictions)
        plain = [view for view in self.views if not view.of_prediction]
        self.text_ = self._fit(plain, triples, None, groups, drawn, deadline)
        self.llm_: FittedViews | None = None
        if predictions is not None:
            with_one = np.array([row for row in drawn if predictions[row]], np.int64)
            prompts = len(np.unique(groups[with_one]))
            if len(with_one) >= LEAST_PREDICTED and prompts >= LEAST_PROMPTS:
                self.llm_ = self._fit(self.views, triples, predictions, groups, with_one, deadline)
        return self

    def predict(self, rows: Rows, predictions: Texts | None = None) -> Vectors:
        """Return (n, d) unit vectors at which the prompts of rows are expected."""
        return self.forecast(rows, predictions).vectors

    def forecast(
        self,
        rows: Rows,
        predictions: Texts | None = None,
        *,
        known: bool = False,
        deadline: Deadline | None = None,
    ) -> Forecast:
        """Return where the prompts of rows are expected, and how sure that is.

        A row without a prediction is predicted by its texts alone, and so are all if too few known
        rows had one. If ``known``, rows that this was fitted to are predicted by rows of other
        prompts.
        """
        return self.forecasts(rows, predictions, known=known, deadline=deadline)[1]

    def forecasts(
        self,
        rows: Rows,
        predictions: Texts | None = None,
        *,
        known: bool = False,
        deadline: Deadline | None = None,
    ) -> tuple[Forecast, Forecast]:
        """Return the forecast of rows by their texts alone, and :meth:`forecast`."""
        every = rows_of(rows, predictions, self.wording_)
        keys = row_keys(rows) if known else None
        by_text = self.text_.forecast(every, self.space, deadline, keys=keys)
        numbers = [number for number, row in enumerate(every) if row.predictions]
        if self.llm_ is None or not numbers:
            return by_text, by_text
        better = self.llm_.forecast(
            [every[row] for row in numbers],
            self.space,
            deadline,
            keys=[keys[row] for row in numbers] if keys else None,
        )
        return by_text, by_text.with_rows(numbers, better)

    def _fit(
        self,
        views: Sequence[RowView],
        triples: Triples,
        predictions: Texts | None,
        groups: NDArray[np.int64],
        numbers: NDArray[np.int64],
        deadline: Deadline | None,
    ) -> FittedViews:
        """Fit to the rows of the given numbers."""
        known = triples.take(numbers)
        said = None if predictions is None else [predictions[row] for row in numbers]
        rows = rows_of(known.rows, said, self.wording_)
        targets = self.space.exact(known.prompts, "prompts", deadline)
        vectors = split_by_opener(embed_views(rows, views, self.space, deadline), rows, views)
        plain = [number for number, view in enumerate(views) if view.name in PLAIN]
        ladder, left_out = Ladder.fit(vectors, plain, targets, groups[numbers], deadline)
        return FittedViews(tuple(views), ladder, left_out, row_keys(known.rows), numbers)


def _drawn(groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return the numbers of the rows to fit to: all, or whole groups of them drawn at random.

    Of a group that is not drawn nothing is fitted, so that its rows are predicted honestly.
    """
    names, counts = np.unique(groups, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    within = np.cumsum(counts[order]) <= _MOST
    within[0] = True
    return np.flatnonzero(np.isin(groups, names[order[within]]))


def views_left_out(
    rows: Sequence[Row],
    fitted: FittedViews,
    targets: Vectors,
    groups: NDArray[np.int64],
    space: EmbeddingSpace,
) -> tuple[tuple[str, float], ...]:
    """Return what the left-out mean SCS loses if a predictor is fitted without each of its views.

    Rows, (n, d) vectors of their prompts and their (n,) groups are those fitted to.
    """
    views, best = fitted.views, fitted.ladder.best
    if best.name != "views":
        return ()
    vectors = embed_views(rows, views, space)

    def score(some: Sequence[RowView]) -> float:
        kept = [number for number, view in enumerate(views) if view in some]
        part = split_by_opener(vectors[kept], rows, some)
        left_out = Fitter(part, targets, groups).fit(best.alpha).left_out
        return mean_scs(left_out, targets)

    whole = score(views)
    return tuple(
        (view.name, whole - score([one for one in views if one is not view])) for view in views
    )


def row_keys(rows: Rows) -> tuple[str, ...]:
    """Return a hash of each row's texts, to know it again."""
    digests = []
    for original, rewritten in zip(rows.originals, rows.rewritten, strict=True):
        both = f"{len(original)}\0{original}{rewritten}"
        digests.append(hashlib.sha256(both.encode("utf-8", "surrogatepass")).hexdigest()[:32])
    return tuple(digests)
