"""Expected score of a candidate answer under each part of the posterior of the true prompt.

Minimum Bayes risk with SCS as the utility (Kumar and Byrne 2004 for the decision rule): a
candidate s is worth ``E[SCS(e(s), t)]`` over the posterior of the true prompt's vector t. The
posterior is a mixture, so that this is a weighted sum of the same expectation under each part:

    llm      the predictions' vectors, equally likely
    centre   the vector that is predicted from the row's views
    near     known prompts around it, by softmax(cosine / temperature); near2 at twice that
    known    all known prompts, and the corpus of prompts if one is given

``centre`` and ``near`` come twice, by the texts alone and by texts and prediction. Further
features are a few traits of the string, whose worth is learned: its length and how it was made.

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

#: Kinds of candidates whose scores differ from what their vectors predict.
_KINDS: Final = ("consensus", "shortened", "template", "line", "retrieved", "joined", "affixed")


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """Nearest known prompts of one row, and SCS of each candidate answer with each of them.

    Attributes:
        middle: (d,) the centre, a unit vector at which the true prompt is expected.
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
        """Compute the SCS of (c, d) candidates with the centre and prompts found for a row."""
        numbers, middle = found.numbers[row], found.centres[row]
        centre = scs_between(vectors, middle[None])[:, 0]
        prompts = scs_between(vectors, bank.vectors[numbers])
        return cls(middle, centre, prompts, found.cosines[row], numbers)

    def terms(self, settings: BlendSettings) -> list[Terms]:
        """Return (c,) expected SCS under the centre, and under neighbours at two temperatures."""
        k = settings.neighbours
        cosines, numbers = self.cosines[:k], self.numbers[:k]
        expected = [
            self.prompts[:, :k] @ softmax_weights(cosines, numbers, scale * settings.temperature)
            for scale in (1, 2)
        ]
        return [self.centre, *expected]


@dataclass(frozen=True, slots=True, eq=False)
class RowCandidates:
    """One row's candidate answers and all that their expected scores are computed from.

    Attributes:
        vectors: (c, d) vectors of the candidates.
        by_text: neighbours retrieved by the texts alone.
        by_all: the same by texts and prediction; ``None`` for a row without a prediction.
        llm: (c,) mean SCS with the predictions, or ``None``.
        known: (c, 1 or 2) expected SCS over all known prompts, and over the corpus.
        signs: (s,) cosines of the prediction with what else is known, or ``None``.
    """

    candidates: Sequence[AnswerCandidate]
    vectors: Vectors
    by_text: Near
    by_all: Near | None
    llm: Terms | None
    known: Terms
    signs: Terms | None

    def features(self, settings: BlendSettings) -> Terms:
        """Return (c, f) features of the candidates; all rows with a prediction have the same f."""
        words = np.array([len(row.text.split()) for row in self.candidates], float)
        kinds = [row.kind for row in self.candidates]
        made = [np.array([kind == name for kind in kinds], float) for name in _KINDS]
        columns = [*self.by_text.terms(settings), *self.known.T]
        # Weights within rows are linear, and the score is the cube of the cosine: both together
        # bend where most true prompts lie.
        columns.append(np.cbrt(self.by_text.centre))
        columns += [words, np.log(np.maximum(words, 1.0)), *made]
        if self.by_all is not None and self.llm is not None:
            columns += [self.llm, *self.by_all.terms(settings), np.cbrt(self.by_all.centre)]
        return np.stack(columns, axis=1)


def expected_known(vectors: Vectors, objectives: Sequence[Objective]) -> Terms:
    """Return the (c, m) expected SCS of c candidate vectors over each of m sets of prompts."""
    return np.stack([row.score(vectors) for row in objectives], axis=1).astype(np.float64)


def signs_of(
    prediction: Vectors, centre: Vectors, original: Vectors, rewritten: Vectors, known: Vectors
) -> Terms:
    """Return the signs of a (d,) prediction: (5,) cosines from which trust in it is estimated.

    The cosines are with the centre that the row's texts lead to, the original and the rewritten
    text, the nearest known prompt, and the mean of the known prompts.
    """
    mean = known.mean(axis=0)
    return np.array(
        [
            prediction @ centre,
            prediction @ original,
            prediction @ rewritten,
            (known @ prediction).max(),
            prediction @ mean / max(float(np.linalg.norm(mean)), 1e-12),
        ],
        float,
    )


def scs_between(vectors: Vectors, others: Vectors) -> Terms:
    """Return the sharpened cosine (SCS) of all pairs of unit vectors: (c, d), (m, d) -> (c, m)."""
    return (vectors @ others.T).astype(np.float64) ** SHARPNESS
