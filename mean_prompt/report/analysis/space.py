"""A corpus's space, in which strings are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from mean_prompt.encoder import Encoder
from mean_prompt.objective import Ceiling, ExpectedSCS, to_numpy
from mean_prompt.optimize import Problem
from mean_prompt.report.analysis.clusters import Clusters
from mean_prompt.report.analysis.data import Analysis, Look, Map
from mean_prompt.report.analysis.map import Projection
from mean_prompt.report.analysis.served import nearest_and_farthest, shortened, spread
from mean_prompt.report.analysis.tokens import token_worths

#: Prompts that map and clusters are fitted to, and those that are drawn on the map.
_FITTED: Final = 20_000
_DRAWN: Final = 3_000
#: Characters of a prompt on the map.
_LABEL: Final = 100
#: Prompts that are listed as served best and worst.
_LISTED: Final = 10


class Space:
    """A corpus in a model's space.

    Args:
        prompts: N.
        objective: over all of them.
        ceiling: of the objective.
        encoder: the model.
        seed: of the samples that stand for a large corpus.
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
        """Return the space of a search, hold-out and all."""
        return cls(problem.prompts, problem.everything, problem.ceiling, encoder, seed=problem.seed)

    def look(self, text: str, *, listed: int = _LISTED, with_worths: bool = True) -> Look:
        """Look at one string: what it scores, whom it serves, what its tokens are worth.

        Args:
            text: any string.
            listed: prompts to list as nearest and as farthest.
            with_worths: whether to find what its tokens are worth, which costs as many strings
                encoded as it has tokens.
        """
        vector = self.encoder.encode([text])[0]
        cosines = to_numpy(self.objective.cosines(vector))
        score = float(self.objective.score(vector[None])[0])
        nearest, farthest = nearest_and_farthest(self.prompts, cosines, self._weights, listed)
        tokens = len(self.encoder.tokenize([text])[0])
        return Look(
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

    def clusters(self) -> Clusters:
        """Return the corpus's clusters; takes a second or two for thousands of prompts."""
        return Clusters.fit(self.prompts, self.objective, self._sample, seed=self._seed)

    def map(self, clusters: Clusters) -> Map:
        """Return the map of the corpus, a sample of its prompts by their clusters."""
        rows = _sample(len(self.prompts), _DRAWN, self._seed)
        centre = to_numpy(self.objective.mean())
        landmarks = np.stack([centre / np.linalg.norm(centre), self.ceiling.vector])
        mean, ceiling = self.projection.places(landmarks)
        places = self.projection.places(to_numpy(self.objective.rows(rows)))
        numbers = clusters.by_share(self._weights)
        return Map(
            x=tuple(x for x, _ in places),
            y=tuple(y for _, y in places),
            prompts=tuple(shortened(self.prompts[row], _LABEL) for row in rows.tolist()),
            clusters=tuple(numbers[rows].tolist()),
            explained=self.projection.explained,
            mean=mean,
            ceiling=ceiling,
        )

    def analyse(self, text: str) -> Analysis:
        """Return all that a report shows of a string in its corpus's space."""
        look, clusters = self.look(text), self.clusters()
        scores = self.objective.per_prompt(self.encoder.encode([text])[0])
        return Analysis(
            look=look,
            ceiling=self.ceiling.value,
            map=self.map(clusters),
            clusters=clusters.scored(scores, self._weights),
        )


def _sample(size: int, most: int, seed: int) -> NDArray[np.int64]:
    """Return the rows that stand for all, in their order."""
    if size <= most:
        return np.arange(size)
    return np.sort(np.random.default_rng(seed).choice(size, most, replace=False))
