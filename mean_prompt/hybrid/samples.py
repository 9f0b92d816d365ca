"""Training data of a blend: known rows, each compared only with rows of other prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.hybrid.posterior import RowCandidates, scs_between
from mean_prompt.hybrid.retrieval import KnownRows, Numbers, grouped_folds
from mean_prompt.hybrid.scenes import SceneBuilder
from mean_prompt.objective import Vectors, sharpened_cosines
from mean_prompt.system import Deadline

Array = NDArray[np.float64]

#: Known rows that a blend is fitted on, at most; the index holds all of them.
_MOST: Final = 1_500


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Known rows (whose true prompt is given) to fit a blend on, with scored candidates.

    Attributes:
        candidates: the candidates of n rows, compared only with rows of other prompts.
        rows: (n,) numbers of the rows among those known.
        targets: (n, d) vectors of the true prompts.
        earned: (c,) SCS of each row's candidates with its true prompt.
        folds: (n,) number of the fold that each row was held out in.
        useful: (n,) whether a row's prediction scored more than the centre retrieved by its
            texts; ``None`` without predictions.
    """

    candidates: Sequence[RowCandidates]
    rows: Numbers
    targets: Vectors
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
        builder: SceneBuilder,
        *,
        seed: int,
        deadline: Deadline | None = None,
    ) -> Samples:
        """Make and score the candidates of known rows, or of a sample of them.

        Each row is compared with prompts of other groups alone, and its prompt is expected where
        rows of other groups lead to.
        """
        drawn = np.sort(np.random.default_rng(seed).permutation(len(known))[:_MOST])
        part = known.take(drawn)
        candidates = builder.build(part.rows, None, deadline, own=part.groups)
        earned = [
            scs_between(row.vectors, target[None])[:, 0]
            for row, target in zip(candidates, part.targets, strict=True)
        ]
        useful = None
        if builder.with_llm:
            centres = np.stack([row.by_text.middle for row in candidates])
            predicted = sharpened_cosines(part.rows.means, part.targets)
            useful = predicted > sharpened_cosines(centres, part.targets)
        folds = np.empty(len(part), np.int64)
        for number, (_, tested) in enumerate(grouped_folds(part.groups, seed=seed)):
            folds[tested] = number
        return cls(candidates, drawn, part.targets, earned, folds, useful)
