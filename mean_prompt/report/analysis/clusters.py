"""Cluster the prompts of a corpus, and find the words that distinguish each cluster."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.objective import ExpectedSCS, Vectors, to_numpy, to_tensor
from mean_prompt.report.analysis.data import PromptCluster
from mean_prompt.report.analysis.prompt_scores import truncate

#: Most clusters that a reader can survey.
_MOST: Final = 12
#: Most words that name a cluster, and the characters of a prompt that they are taken from.
_WORDS: Final = 4
_READ: Final = 500
_EXAMPLE: Final = 200


@dataclass(frozen=True, slots=True, eq=False)
class Clustering:
    """A k-means clustering of all N prompts of a corpus by their embeddings.

    Attributes:
        members: (N,) number of each prompt's cluster.
    """

    members: NDArray[np.int64]
    words: list[tuple[str, ...]]
    examples: list[str]

    @classmethod
    def fit(
        cls, prompts: Sequence[str], objective: ExpectedSCS, sample: NDArray[np.int64], seed: int
    ) -> Clustering:
        """Cluster a sample of prompts by k-means, and assign every prompt to the nearest centre."""
        vectors = to_numpy(objective.rows(sample))
        centres = _centres(vectors, len(prompts), seed)
        members, nearest = _assign(objective, centres)
        texts = [prompts[row][:_READ] for row in sample.tolist()]
        examples = [truncate(prompts[row], _EXAMPLE) for row in nearest]
        return cls(members, _distinctive_words(texts, members[sample], len(centres)), examples)

    def scored(
        self, scores: NDArray[np.floating], weights: NDArray[np.floating]
    ) -> tuple[PromptCluster, ...]:
        """Return the clusters with a string's mean SCS in each, the largest cluster first.

        ``scores`` are the (N,) SCS of the string with the prompts; ``weights`` of prompts sum to 1.
        """
        count = len(self.words)
        sizes = np.bincount(self.members, minlength=count)
        mass = np.bincount(self.members, weights=weights, minlength=count)
        earned = np.bincount(self.members, weights=weights * scores, minlength=count)
        return tuple(
            PromptCluster(
                words=self.words[k],
                example=self.examples[k],
                prompts=int(sizes[k]),
                share=float(mass[k]),
                score=float(earned[k] / mass[k]),
            )
            for k in np.argsort(-mass, kind="stable").tolist()
            if mass[k] > 0
        )

    def by_share(self, weights: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return the (N,) cluster numbers of the prompts, in :meth:`scored`'s order of clusters."""
        mass = np.bincount(self.members, weights=weights, minlength=len(self.words))
        rank = np.argsort(np.argsort(-mass, kind="stable"), kind="stable")
        return rank[self.members]


def _centres(vectors: Vectors, size: int, seed: int) -> Vectors:
    from sklearn.cluster import KMeans

    distinct = len(np.unique(vectors, axis=0))
    count = min(_MOST, distinct, max(2, round(math.sqrt(size / 2))))
    fitted = KMeans(n_clusters=count, n_init=1, random_state=seed).fit(vectors)
    centres: Vectors = fitted.cluster_centers_.astype(np.float32)
    return centres


def _assign(objective: ExpectedSCS, centres: Vectors) -> tuple[NDArray[np.int64], list[int]]:
    """Return the number of every prompt's nearest centre, and of every centre's nearest prompt."""
    points = to_tensor(centres).to(objective.device)
    lengths = (points**2).sum(dim=1) / 2
    members = []
    best = np.full(len(centres), -np.inf)
    nearest = np.zeros(len(centres), np.int64)
    first = 0
    for rows, _ in objective.blocks():
        near = to_numpy(rows @ points.T - lengths)  # -0.5 squared distance, plus a constant
        members.append(near.argmax(axis=1))
        top = near.argmax(axis=0)
        better = near[top, np.arange(len(centres))] > best
        nearest[better] = top[better] + first
        best = np.maximum(best, near.max(axis=0))
        first += len(rows)
    return np.concatenate(members), nearest.tolist()


def _distinctive_words(
    texts: Sequence[str], members: NDArray[np.int64], count: int
) -> list[tuple[str, ...]]:
    """Return for each cluster the words of highest mean TF-IDF compared with the other clusters."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(stop_words="english", max_features=5_000, sublinear_tf=True)
    try:
        table = vectorizer.fit_transform(texts)
    except ValueError:  # prompts without a single word, such as emoji alone
        return [() for _ in range(count)]
    names = vectorizer.get_feature_names_out()
    found: list[tuple[str, ...]] = []
    for k in range(count):
        inside = members == k
        if not inside.any() or inside.all():
            found.append(())
            continue
        lead = np.asarray(table[inside].mean(axis=0) - table[~inside].mean(axis=0)).ravel()
        top = np.argsort(-lead, kind="stable")[:_WORDS]
        found.append(tuple(str(names[i]) for i in top if lead[i] > 0))
    return found
