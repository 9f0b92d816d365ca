"""Training data of a blend: known rows, each compared only with rows of other prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.hybrid.posterior import RowCandidates, scs_between
from mean_prompt.hybrid.retrieval import HeldOut, KnownRows, Numbers, Retriever
from mean_prompt.hybrid.scenes import BlendContext
from mean_prompt.hybrid.settings import Key
from mean_prompt.objective import sharpened_cosines
from mean_prompt.system import Deadline

Array = NDArray[np.float64]

#: Known rows that a blend is fitted on, at most; the index holds all of them.
_MOST: Final = 1_500


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Known rows (whose true prompt is given) to fit a blend on, with scored candidates.

    Attributes:
        candidates: the candidates of n rows, compared only with rows of other prompts.
        earned: (c,) SCS of each row's candidates with its true prompt.
        folds: (n,) number of the fold that each row was held out in.
        useful: (n,) whether a row's prediction scored more than the centre retrieved by its
            texts; ``None`` without predictions.
    """

    candidates: Sequence[RowCandidates]
    earned: Sequence[Array]
    folds: Numbers
    useful: NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.candidates)

    @property
    def signs(self) -> Array | None:
        """(n, s) signs, cosines of predictions that trust is learned from; ``None`` if none."""
        signs = [row.signs for row in self.candidates if row.signs is not None]
        return np.stack(signs) if signs else None

    @classmethod
    def of(
        cls,
        known: KnownRows,
        folds: Sequence[HeldOut],
        context: BlendContext,
        text_key: Key | None,
        deadline: Deadline | None,
    ) -> Samples:
        """Make and score the candidates of known rows, or of a sample of them, fold by fold.

        Each fold's retriever uses the other folds' rows: if predictions are used, by texts and
        prediction, and ``text_key`` is the key for the texts; else by the texts.
        """
        rng = np.random.default_rng(context.options.seed)
        drawn = rng.permutation(len(known))[:_MOST]
        candidates: list[RowCandidates] = []
        tested: list[int] = []
        numbers: list[int] = []
        for fold, held_out in enumerate(folds):
            rows = np.intersect1d(held_out.rows, drawn)
            by_text, by_all = held_out.retriever, None
            if text_key is not None:
                by_text, by_all = Retriever(text_key, known.take(held_out.others)), by_text
            builder = context.builder(by_text, by_all, deadline)
            candidates += builder.build(known.rows.take(rows), None, deadline)
            tested += rows.tolist()
            numbers += [fold] * len(rows)
        targets = known.targets[tested]
        earned = [
            scs_between(row.vectors, target[None])[:, 0]
            for row, target in zip(candidates, targets, strict=True)
        ]
        useful = None
        if text_key is not None:
            centres = np.stack([row.by_text.middle for row in candidates])
            predicted = sharpened_cosines(known.rows.means[tested], targets)
            useful = predicted > sharpened_cosines(centres, targets)
        return cls(candidates, earned, np.array(numbers), useful)
