"""Fitting blends on known rows: the key, the settings and the weights of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from mean_prompt.corpus import Corpus
from mean_prompt.hybrid.candidates import CandidateFactory, learn_heads
from mean_prompt.hybrid.options import BlendOptions
from mean_prompt.hybrid.posterior import RowCandidates, scs_between
from mean_prompt.hybrid.retrieval import Retriever, choose_key, grouped_folds
from mean_prompt.hybrid.rows import KnownRows
from mean_prompt.hybrid.scenes import SceneBuilder
from mean_prompt.hybrid.settings import PREDICTION_KEYS, TEXT_KEYS, BlendSettings, FitOutcome, Key
from mean_prompt.hybrid.space import EmbeddingSpace
from mean_prompt.hybrid.tuning import FittedBlend, Samples, fit_blend, tune
from mean_prompt.objective import (
    ExpectedSCS,
    Objective,
    compress_if_large,
    sharpened_cosines,
)
from mean_prompt.system import Deadline

#: Known rows with a prediction that it takes to learn how far predictions can be trusted.
LEAST_PREDICTED: Final = 24
#: Known rows that a blend is fitted on, at most; the index holds all of them.
_MOST_SAMPLES: Final = 1_500


@dataclass(frozen=True, slots=True)
class BlendContext:
    """What fitting and answering share.

    Attributes:
        space: the model's space.
        universal: the universal string.
        options: affixes, limits and seed.
        corpus: a further part of the posterior; none if ``None``.
    """

    space: EmbeddingSpace
    universal: str
    options: BlendOptions
    corpus: Corpus | None
    _corpus_objectives: list[Objective] = field(default_factory=list)

    def builder(
        self, by_text: Retriever, by_all: Retriever | None, deadline: Deadline | None
    ) -> SceneBuilder:
        """Return what makes candidates and compares them with the retrievers' known rows."""
        bank = by_text.bank
        factory = CandidateFactory(
            self.universal,
            learn_heads(bank.prompts),
            prefix=self.options.prefix,
            suffix=self.options.suffix,
        )
        known = self._compressed(ExpectedSCS(bank.vectors, device=self.space.device))
        objectives = [known, *self._over_corpus(deadline)]
        return SceneBuilder(
            self.space, factory, by_text, by_all, objectives, self.options.max_tokens
        )

    def _over_corpus(self, deadline: Deadline | None) -> list[Objective]:
        """Return the expected SCS over the corpus, computed once; none without a corpus."""
        if self.corpus is not None and not self._corpus_objectives:
            vectors = self.space.exact(self.corpus.prompts, "corpus", deadline)
            exact = ExpectedSCS(vectors, self.corpus.weights, device=self.space.device)
            self._corpus_objectives.append(self._compressed(exact))
        return self._corpus_objectives

    def _compressed(self, exact: ExpectedSCS) -> Objective:
        compression = compress_if_large(exact, seed=self.options.seed)
        return compression.objective if compression else exact


@dataclass(frozen=True, slots=True, eq=False)
class FittedKey:
    """A blend with its key, and what makes the candidates that it chooses from.

    Attributes:
        key: what rows are compared by.
        blend: settings and weights.
        builder: over all known rows.
        rows: number of the known rows that it was fitted on.
    """

    key: Key
    blend: FittedBlend
    builder: SceneBuilder
    rows: int

    def __str__(self) -> str:
        return f"key {self.key}, cross-validated SCS {self.blend.score:.4f}"


class BlendFitter:
    """Fits the blends without and with predictions.

    Args:
        context: model, universal string and options.
        deadline: ends tuning early.
    """

    def __init__(self, context: BlendContext, deadline: Deadline | None = None) -> None:
        self._context = context
        self._options = context.options
        self._deadline = deadline

    def fit_text(self, known: KnownRows, outcome: FitOutcome | None) -> FittedKey:
        """Fit the blend of rows without a prediction.

        Args:
            known: rows to fit on.
            outcome: an earlier fit's, to skip choosing and tuning.
        """
        kept = (outcome.text_key, outcome.text) if outcome else None
        key, blend = self._fit(known, TEXT_KEYS, None, kept)
        builder = self._context.builder(Retriever(key, known), None, self._deadline)
        return FittedKey(key, blend, builder, len(known))

    def fit_llm(
        self, known: KnownRows, text: FittedKey, outcome: FitOutcome | None
    ) -> FittedKey | None:
        """Fit the blend of rows with a prediction; ``None`` if too few known rows have one."""
        rows = known.rows.with_prediction()
        predicted = known.take(rows)
        if len(rows) < LEAST_PREDICTED or len(np.unique(predicted.groups)) < 2:
            return None
        kept = None
        if outcome is not None and outcome.all_key is not None and outcome.llm is not None:
            kept = (outcome.all_key, outcome.llm)
        key, blend = self._fit(predicted, PREDICTION_KEYS, text.key, kept)
        by_all = Retriever(key, predicted)
        builder = self._context.builder(text.builder.by_text, by_all, self._deadline)
        return FittedKey(key, blend, builder, len(rows))

    def _fit(
        self,
        known: KnownRows,
        keys: Sequence[Key],
        text_key: Key | None,
        kept: tuple[Key, BlendSettings] | None,
    ) -> tuple[Key, FittedBlend]:
        """Choose a key and tune the blend, or fit with those kept from an earlier fit."""
        seed, deadline = self._options.seed, self._deadline
        if kept is not None:
            key, settings = kept
            return key, fit_blend(self._samples(known, key, text_key), settings)
        key = choose_key(keys, known, seed=seed, deadline=deadline)
        samples = self._samples(known, key, text_key)
        return key, tune(samples, trials=self._options.trials, seed=seed, deadline=deadline)

    def _samples(self, known: KnownRows, key: Key, text_key: Key | None) -> Samples:
        """Return every row, or a draw of many, compared with rows of other prompts alone.

        Args:
            known: rows to fit on.
            key: of texts and prediction if ``text_key`` is given, else of the texts.
            text_key: key of the texts; ``None`` if predictions are not used.
        """
        seed = self._options.seed
        drawn = np.random.default_rng(seed).permutation(len(known))[:_MOST_SAMPLES]
        candidates: list[RowCandidates] = []
        tested: list[int] = []
        folds: list[int] = []
        for fold, (rest, held_out) in enumerate(grouped_folds(known.groups, seed=seed)):
            rows = np.intersect1d(held_out, drawn)
            fitted = known.take(rest)
            by_text = Retriever(text_key or key, fitted)
            by_all = Retriever(key, fitted) if text_key else None
            builder = self._context.builder(by_text, by_all, self._deadline)
            candidates += builder.build(known.rows.take(rows), None, self._deadline)
            tested += rows.tolist()
            folds += [fold] * len(rows)
        targets = known.targets[tested]
        earned = [
            scs_between(row.vectors, target[None])[:, 0]
            for row, target in zip(candidates, targets, strict=True)
        ]
        useful = None
        if text_key:
            centres = np.stack([row.by_text.middle for row in candidates])
            predicted = sharpened_cosines(known.rows.means[tested], targets)
            useful = predicted > sharpened_cosines(centres, targets)
        return Samples(candidates, earned, np.array(folds), useful)
