"""The data of one run: a corpus of prompts as vectors, split into training side and hold-out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import Corpus, Split, check_model, corpus_vectors
from mean_prompt.encoder import Encode, Encoder
from mean_prompt.objective import (
    Ceiling,
    Compression,
    ExpectedSCS,
    Interval,
    Objective,
    StoredVectors,
    Vectors,
    bootstrap_interval,
    compress_if_large,
)
from mean_prompt.system import Deadline, Listener, ignore

#: Prompts of a compressed corpus, nearest to the ceiling's vector, among which the best is taken
#: to be.
_NEAREST: Final = 8_192
#: Prompts of a compressed corpus that are scored exactly to find its best one.
_FINALISTS: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """A corpus of prompts as vectors, with the objectives over all of it and over its split.

    The training side comes first everywhere, so that either side is a view of the whole.

    Attributes:
        prompts: N prompts, those of the training side before those of the hold-out.
        vectors: (N, d) unit vectors of the prompts; in half precision if they are many, and
            mapped from a file if they come from a folder of vectors.
        weights, groups: (N,) weights of the prompts, and numbers of their near-duplicate groups.
        everything: the objective over all prompts, for the reported score.
        train: the objective over the training side; ``holdout`` over the hold-out, if there is one.
        screening: objective of the search: ``train``, or a compressed one close to it.
        compression: that objective and its error, or ``None`` if the search uses ``train``.
        ceiling: highest value of ``everything``; ``train_ceiling`` that of ``train``.
    """

    prompts: Sequence[str]
    vectors: StoredVectors
    weights: NDArray[np.float64]
    groups: NDArray[np.int64]
    split: Split
    everything: ExpectedSCS
    train: ExpectedSCS
    holdout: ExpectedSCS | None
    screening: Objective
    compression: Compression | None
    ceiling: Ceiling
    train_ceiling: float
    seed: int

    @classmethod
    def build(
        cls,
        corpus: Corpus,
        encoder: Encoder,
        *,
        holdout: float,
        seed: int,
        encode: Encode | None = None,
        listener: Listener = ignore,
        deadline: Deadline | None = None,
    ) -> Self:
        """Split a corpus into training side and hold-out, and embed it or read stored vectors.

        ``holdout`` is the share of the groups of near-duplicates that are held out; ``encode``
        embeds in the encoder's place, if given. If the
        deadline expires, ``OutOfTimeError`` is raised; vectors made by then stay in the cache.
        """
        check_model(corpus, encoder)
        groups = corpus.groups() if holdout else np.arange(len(corpus))
        split = corpus.split(holdout, groups=groups, seed=seed)
        order = np.concatenate([split.train, split.holdout])
        vectors = corpus_vectors(
            corpus, order, encoder, encode=encode, listener=listener, deadline=deadline
        )
        prompts = [corpus.prompts[row] for row in order]
        return cls.of_vectors(
            prompts,
            vectors,
            corpus.weights[order],
            groups[order],
            split,
            device=encoder.device,
            seed=seed,
        )

    @classmethod
    def of_vectors(
        cls,
        prompts: Sequence[str],
        vectors: StoredVectors,
        weights: NDArray[np.float64],
        groups: NDArray[np.int64],
        split: Split,
        *,
        device: str,
        seed: int,
    ) -> Self:
        """Build a problem from the prompts' vectors; arrays are in the order of ``prompts``."""
        count = len(split.train)
        everything = ExpectedSCS(vectors, weights, device=device)
        train = everything.part(slice(count)) if len(split.holdout) else everything
        compression = compress_if_large(train, seed=seed)
        # The compressed ceiling is found in seconds, and leaves few steps to take over all.
        guide = compression.objective if compression else None
        ceiling = everything.ceiling(seed=seed, guide=guide)
        train_ceiling = ceiling if train is everything else train.ceiling(seed=seed, guide=guide)
        return cls(
            prompts=prompts,
            vectors=vectors,
            weights=weights,
            groups=groups,
            split=split,
            everything=everything,
            train=train,
            holdout=everything.part(slice(count, None)) if len(split.holdout) else None,
            screening=guide or train,
            compression=compression,
            ceiling=ceiling,
            train_ceiling=train_ceiling.value,
            seed=seed,
        )

    @property
    def train_prompts(self) -> Sequence[str]:
        """The prompts of the training side."""
        return self.prompts[: len(self.train)]

    def train_score(self, vector: Vectors) -> float:
        """Return the expected sharpened cosine (SCS) of a string with every training prompt."""
        return float(self.train.score(vector[None])[0])

    def holdout_score(self, vector: Vectors) -> float | None:
        """Return a string's expected SCS with the held-out prompts, or ``None`` if none are."""
        return None if self.holdout is None else float(self.holdout.score(vector[None])[0])

    def holdout_interval(self, vector: Vectors) -> Interval | None:
        """Return the 95 % interval of :meth:`holdout_score`, by a bootstrap over prompt groups."""
        if self.holdout is None:
            return None
        first = len(self.train)
        scores = self.holdout.per_prompt(vector).astype(np.float64)
        return bootstrap_interval(scores, self.weights[first:], self.groups[first:], seed=self.seed)

    def likely_starts(self) -> tuple[list[str], Vectors]:
        """Return training prompts that may be good start strings, and their (k, d) vectors."""
        rows = self._near_ceiling()
        return self._picked(rows[rows < len(self.train)])

    def finalists(self) -> tuple[list[str], Vectors]:
        """Return prompts that may score best over the whole corpus, and their (k, d) vectors."""
        prompts, vectors = self._picked(self._near_ceiling())
        if self.compression is None:
            return prompts, vectors
        best = np.sort(np.argsort(-self.screening.score(vectors))[:_FINALISTS])
        return [prompts[row] for row in best], vectors[best]

    def _near_ceiling(self) -> NDArray[np.int64]:
        """Return all prompts' rows, or in a large corpus those nearest to the optimal vector.

        To score each of a million prompts against each would take hours; a prompt that scores
        well is near that vector, at which the objective is highest.
        """
        if self.compression is None:
            return np.arange(len(self.prompts))
        cosines = self.everything.cosines(self.ceiling.vector).cpu().numpy()
        return np.sort(np.argsort(-cosines)[:_NEAREST])

    def _picked(self, rows: NDArray[np.int64]) -> tuple[list[str], Vectors]:
        return [self.prompts[row] for row in rows], self.vectors[rows].astype(np.float32)
