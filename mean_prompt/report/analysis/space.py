"""Compare strings with the embedded prompts of a corpus: scores, neighbours, clusters, a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from mean_prompt.encoder import Encoder
from mean_prompt.objective import Ceiling, ExpectedSCS, Vectors, to_numpy
from mean_prompt.optimize import Problem
from mean_prompt.report.analysis.clusters import Clustering
from mean_prompt.report.analysis.data import Analysis, CorpusMap, StringAnalysis
from mean_prompt.report.analysis.prompt_scores import nearest_and_farthest, spread, truncate
from mean_prompt.report.analysis.tokens import token_worths

if TYPE_CHECKING:
    from sklearn.decomposition import PCA

#: Most prompts that map and clusters are fitted to, and most that are drawn on the map.
_FITTED: Final = 20_000
_DRAWN: Final = 3_000
#: Most characters of a prompt on the map.
_LABEL: Final = 100
#: Prompts that are listed as nearest and as farthest.
_LISTED: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """The first two principal components of a corpus's vectors.

    A linear projection places a new string at once; t-SNE or UMAP would have to be fitted again.
    """

    pca: PCA

    @classmethod
    def fit(cls, vectors: Vectors) -> Projection:
        """Fit the principal components to (n, d) unit vectors, n and d at least 2."""
        from sklearn.decomposition import PCA

        return cls(PCA(n_components=2, random_state=0).fit(vectors))

    @property
    def explained(self) -> float:
        """Share of the vectors' variance that the two components hold, within [0, 1]."""
        return float(np.nan_to_num(self.pca.explained_variance_ratio_).sum())

    def places(self, vectors: Vectors) -> list[tuple[float, float]]:
        """Return the two-dimensional coordinates of (n, d) unit vectors: n pairs."""
        rows = np.round(self.pca.transform(vectors), 4).tolist()
        return [(x, y) for x, y in rows]


class CorpusSpace:
    """The embedded prompts of a corpus, with which any string can be compared.

    Args:
        seed: seed of the samples that represent a large corpus.
    """

    def __init__(
        self,
        prompts: Sequence[str],
        objective: ExpectedSCS,
        ceiling: Ceiling,
        encoder: Encoder,
        *,
        seed: int = 0,
    ) -> None:
        self.prompts = prompts
        self.objective = objective
        self.ceiling = ceiling
        self.encoder = encoder
        self._seed = seed
        self._weights = to_numpy(objective.weights).astype(np.float64)
        self._sample = _sample(len(prompts), _FITTED, seed)
        self.projection = Projection.fit(to_numpy(objective.rows(self._sample)))

    @classmethod
    def of_problem(cls, problem: Problem, encoder: Encoder) -> Self:
        """Return the corpus of a search problem, with its hold-out prompts, for comparisons."""
        return cls(problem.prompts, problem.everything, problem.ceiling, encoder, seed=problem.seed)

    def analyse_string(
        self, text: str, *, listed: int = _LISTED, with_worths: bool = True
    ) -> StringAnalysis:
        """Return a string's score, nearest and farthest prompts, and its tokens' contributions.

        Args:
            text: any string.
            listed: number of nearest and of farthest prompts to list.
            with_worths: whether to compute the tokens' contributions; it encodes one string each.
        """
        vector = self.encoder.encode([text])[0]
        cosines = to_numpy(self.objective.cosines(vector))
        score = float(self.objective.score(vector[None])[0])
        nearest, farthest = nearest_and_farthest(self.prompts, cosines, self._weights, listed)
        tokens = len(self.encoder.tokenize([text])[0])
        return StringAnalysis(
            text=text,
            tokens=tokens,
            is_cut=tokens > self.encoder.max_tokens,
            score=score,
            fraction=score / self.ceiling.value,
            worths=token_worths(text, self.encoder, self.objective) if with_worths else (),
            spread=spread(cosines, self._weights),
            nearest=nearest,
            farthest=farthest,
            place=self.projection.places(vector[None])[0],
        )

    def clusters(self) -> Clustering:
        """Cluster the corpus's prompts; this takes a second or two for thousands of prompts."""
        return Clustering.fit(self.prompts, self.objective, self._sample, self._seed)

    def map(self, clusters: Clustering) -> CorpusMap:
        """Return a two-dimensional map of a sample of the corpus's prompts."""
        rows = _sample(len(self.prompts), _DRAWN, self._seed)
        centre = to_numpy(self.objective.mean())
        landmarks = np.stack([centre / np.linalg.norm(centre), self.ceiling.vector])
        mean, ceiling = self.projection.places(landmarks)
        places = self.projection.places(to_numpy(self.objective.rows(rows)))
        numbers = clusters.by_share(self._weights)
        return CorpusMap(
            x=tuple(x for x, _ in places),
            y=tuple(y for _, y in places),
            prompts=tuple(truncate(self.prompts[row], _LABEL) for row in rows.tolist()),
            clusters=tuple(numbers[rows].tolist()),
            explained=self.projection.explained,
            mean=mean,
            ceiling=ceiling,
        )

    def analyse(self, text: str) -> Analysis:
        """Return the analysis of a string with the map and the clusters of the corpus."""
        look, clusters = self.analyse_string(text), self.clusters()
        scores = self.objective.per_prompt(self.encoder.encode([text])[0])
        return Analysis(
            look=look,
            ceiling=self.ceiling.value,
            map=self.map(clusters),
            clusters=clusters.scored(scores, self._weights),
        )


def _sample(size: int, most: int, seed: int) -> NDArray[np.int64]:
    """Return at most ``most`` random row numbers below ``size``, ascending."""
    if size <= most:
        return np.arange(size)
    return np.sort(np.random.default_rng(seed).choice(size, most, replace=False))
