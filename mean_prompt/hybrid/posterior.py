"""Worth of a candidate under each part of the posterior over a row's true prompt.

Minimum Bayes risk with SCS as the utility (Kumar and Byrne 2004 for the decision rule): a
candidate s is worth ``E[SCS(e(s), t)]`` over the posterior of the true prompt's vector t. The
posterior is a mixture, so that this is a weighted sum of the same expectation under each part:

    llm      the predictions' vectors, equally likely
    centre   the point in prompt space that the row's key leads to
    near     known prompts around it, by softmax(cosine / temperature); near2 at twice that
    known    all known prompts, and the corpus of prompts if one is given

``centre`` and ``near`` come twice, by the texts alone and by texts and prediction. Beside these
stand a few traits of the string, whose worth is learned: its length, and how it was made.

Symbols: c candidates of one row, k neighbours, d width of the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.hybrid.candidates import AnswerCandidate
from mean_prompt.hybrid.retrieval import Bank, Neighbourhood, softmax_weights
from mean_prompt.hybrid.settings import BlendSettings
from mean_prompt.objective import SHARPNESS, Objective, Vectors

Terms = NDArray[np.float64]

#: Kinds of strings whose worth differs from what their vectors predict.
_KINDS: Final = ("shortened", "template", "retrieved", "joined", "affixed")


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """One row's neighbours and its candidates' similarities with them.

    Attributes:
        middle: (d,) the centre, a point in prompt space.
        centre: (c,) SCS of each candidate with the centre.
        prompts: (c, k) SCS of each candidate with each neighbour.
        cosines, numbers: (k,) cosines and numbers of the neighbours, as retrieved.
    """

    middle: Vectors
    centre: Terms
    prompts: Terms
    cosines: Vectors
    numbers: NDArray[np.int64]

    @classmethod
    def of(cls, vectors: Vectors, found: Neighbourhood, row: int, bank: Bank) -> Near:
        """Compare (c, d) candidates with what was retrieved for a row."""
        numbers, middle = found.numbers[row], found.centres[row]
        centre = scs_between(vectors, middle[None])[:, 0]
        prompts = scs_between(vectors, bank.vectors[numbers])
        return cls(middle, centre, prompts, found.cosines[row], numbers)

    def terms(self, settings: BlendSettings) -> list[Terms]:
        """Return the expected SCS under the centre and under the neighbours: three of (c,)."""
        k = settings.neighbours
        cosines, numbers = self.cosines[:k], self.numbers[:k]
        expected = [
            self.prompts[:, :k] @ softmax_weights(cosines, numbers, scale * settings.temperature)
            for scale in (1, 2)
        ]
        return [self.centre, *expected]


@dataclass(frozen=True, slots=True, eq=False)
class RowCandidates:
    """One row's candidates and all that their worth is computed from.

    Attributes:
        vectors: (c, d) vectors of the candidates.
        by_text: neighbours by the texts alone.
        by_all: neighbours by texts and prediction; ``None`` for a row without a prediction.
        llm: (c,) mean SCS with the predictions, or ``None``.
        known: (c, 1 or 2) expected SCS over all known prompts, and over the corpus.
        signs: (s,) how well the prediction fits all else that is known, or ``None``.
    """

    candidates: Sequence[AnswerCandidate]
    vectors: Vectors
    by_text: Near
    by_all: Near | None
    llm: Terms | None
    known: Terms
    signs: Terms | None

    def features(self, settings: BlendSettings) -> Terms:
        """Return what the mixture weighs: (c, f), the same f for all rows with a prediction."""
        words = np.array([len(row.text.split()) for row in self.candidates], float)
        kinds = [row.kind for row in self.candidates]
        made = [np.array([kind == name for kind in kinds], float) for name in _KINDS]
        columns = [*self.by_text.terms(settings), *self.known.T]
        columns += [words, np.log(np.maximum(words, 1.0)), *made]
        if self.by_all is not None and self.llm is not None:
            columns += [self.llm, *self.by_all.terms(settings)]
        return np.stack(columns, axis=1)


def expected_known(vectors: Vectors, objectives: Sequence[Objective]) -> Terms:
    """Return (c, m) expected SCS of candidates over each of m sets of prompts."""
    return np.stack([row.score(vectors) for row in objectives], axis=1).astype(np.float64)


def signs_of(
    prediction: Vectors, centre: Vectors, original: Vectors, rewritten: Vectors, bank: Bank
) -> Terms:
    """Return (5,) cosines of a (d,) prediction, by which trust in it is judged.

    They are with the centre that the texts lead to, both texts, the nearest known prompt, and the
    mean of the known prompts.
    """
    mean = bank.vectors.mean(axis=0)
    return np.array(
        [
            prediction @ centre,
            prediction @ original,
            prediction @ rewritten,
            (bank.vectors @ prediction).max(),
            prediction @ mean / max(float(np.linalg.norm(mean)), 1e-12),
        ],
        float,
    )


def scs_between(vectors: Vectors, others: Vectors) -> Terms:
    """Return the SCS of every pair of unit rows: (c, d), (m, d) -> (c, m)."""
    return (vectors @ others.T).astype(np.float64) ** SHARPNESS
