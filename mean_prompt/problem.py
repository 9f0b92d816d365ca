"""The problem of one run: a corpus in a model's space, split for an honest score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import Corpus, Split
from mean_prompt.encoder import Encoder
from mean_prompt.objective import Ceiling, ExpectedSCS, Interval, Vectors, bootstrap_interval
from mean_prompt.recipe import Recipe
from mean_prompt.vectors import VectorCache


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A corpus as vectors, whole and split, with its ceilings.

    Attributes:
        vectors: (N, d) unit vectors of all prompts, float32.
        weights, groups: (N,) of the corpus.
        split: rows of the training side and of the hold-out.
        everything: the objective over all prompts, for the reported score.
        train: the objective that a search sees.
        train_prompts: the prompts of the training side.
        ceiling: of ``everything``; ``train_ceiling`` of ``train``.
        seed: of the split and of the bootstrap.
    """

    vectors: Vectors
    split: Split
    groups: NDArray[np.int64]
    weights: NDArray[np.float64]
    everything: ExpectedSCS
    train: ExpectedSCS
    train_prompts: list[str]
    ceiling: Ceiling
    train_ceiling: float
    seed: int

    @classmethod
    def build(
        cls,
        corpus: Corpus,
        encoder: Encoder,
        recipe: Recipe,
        progress: Callable[[int, int], None],
    ) -> Problem:
        """Embed a corpus, from the cache where it is known, and split it.

        Args:
            corpus: the prompts.
            encoder: the model.
            recipe: says how much to hold out, and the seed.
            progress: called with prompts done and all prompts; may raise to end the work.
        """
        vectors = VectorCache(encoder.identity.key).encode(
            corpus.prompts, encoder.encode, progress=progress
        )
        holdout, seed = recipe.corpus.holdout, recipe.search.seed
        groups = corpus.groups() if holdout else np.arange(len(corpus))
        split = corpus.split(holdout, groups=groups, seed=seed)
        weights, device = corpus.weights, encoder.device
        everything = ExpectedSCS(vectors, weights, device=device)
        train = ExpectedSCS(vectors[split.train], weights[split.train], device=device)
        return cls(
            vectors,
            split,
            groups,
            weights,
            everything,
            train,
            [corpus.prompts[row] for row in split.train],
            everything.ceiling(seed=seed),
            train.ceiling(seed=seed).value,
            seed,
        )

    @property
    def train_vectors(self) -> Vectors:
        """(n, d) vectors of the training side."""
        return self.vectors[self.split.train]

    def holdout_score(self, vector: Vectors) -> float | None:
        """Return a string's expected SCS over the hold-out, or ``None`` without one."""
        rows = self.split.holdout
        if not len(rows):
            return None
        return float(np.average(self._on_holdout(vector), weights=self.weights[rows]))

    def holdout_interval(self, vector: Vectors) -> Interval | None:
        """Return the 95 % interval of :meth:`holdout_score`, from a bootstrap over groups."""
        rows = self.split.holdout
        if not len(rows):
            return None
        return bootstrap_interval(
            self._on_holdout(vector), self.weights[rows], self.groups[rows], seed=self.seed
        )

    def _on_holdout(self, vector: Vectors) -> NDArray[np.float64]:
        return self.everything.per_prompt(vector)[self.split.holdout].astype(np.float64)
