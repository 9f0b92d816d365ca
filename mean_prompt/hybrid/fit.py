"""Fitting one blend on known rows: its key, its settings and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import Corpus, Triples
from mean_prompt.hybrid.candidates import CandidateFactory, learn_heads
from mean_prompt.hybrid.keys import Key
from mean_prompt.hybrid.mixture import Numbers
from mean_prompt.hybrid.posterior import RowCandidates, scs_between
from mean_prompt.hybrid.retrieval import Bank, Retriever, choose_key, grouped_folds
from mean_prompt.hybrid.scenes import EmbeddedRows, SceneBuilder
from mean_prompt.hybrid.space import Space
from mean_prompt.hybrid.tuning import BlendSettings, FittedBlend, Samples, fit_blend, tune
from mean_prompt.objective import (
    ExpectedSCS,
    Objective,
    Vectors,
    compress_if_large,
    sharpened_cosines,
)
from mean_prompt.system import Clock

#: Known rows that a blend is fitted on, at most; the index holds all of them.
_MOST_SAMPLES: Final = 1_500


@dataclass(frozen=True, slots=True)
class BlendContext:
    """What fitting and answering share.

    Attributes:
        space: the model.
        universal: the string that serves where nothing is known.
        prefixes, suffixes: tried before and after predictions beside it.
        corpus: a further part of the posterior.
        max_tokens: of an answer.
        trials: settings that a fit tries.
        seed: of every random choice.
    """

    space: Space
    universal: str
    prefixes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    corpus: Corpus | None = None
    max_tokens: int = 64
    trials: int = 24
    seed: int = 0
    _kept: dict[str, Objective] = field(default_factory=dict)

    def stage(
        self, by_text: Retriever, by_all: Retriever | None, clock: Clock | None
    ) -> SceneBuilder:
        """Return a stage on which rows meet what retrievers know."""
        bank = by_text.bank
        kitchen = CandidateFactory(
            self.universal,
            learn_heads(bank.prompts),
            prefixes=self.prefixes,
            suffixes=self.suffixes,
        )
        objectives = [self._compressed(ExpectedSCS(bank.vectors, device=self.space.device))]
        if self.corpus is not None:
            objectives.append(self._over_corpus(self.corpus, clock))
        return SceneBuilder(self.space, kitchen, by_text, by_all, objectives, self.max_tokens)

    def _over_corpus(self, corpus: Corpus, clock: Clock | None) -> Objective:
        if "corpus" not in self._kept:
            vectors = self.space.exact(corpus.prompts, "corpus", clock)
            exact = ExpectedSCS(vectors, corpus.weights, device=self.space.device)
            self._kept["corpus"] = self._compressed(exact)
        return self._kept["corpus"]

    def _compressed(self, exact: ExpectedSCS) -> Objective:
        compression = compress_if_large(exact, seed=self.seed)
        return compression.objective if compression else exact


@dataclass(frozen=True, slots=True, eq=False)
class FittedKey:
    """A key and the blend fitted with it."""

    key: Key
    blend: FittedBlend

    def note(self) -> str:
        """Return a line for the user."""
        return f"key {self.key}, cross-validated SCS {self.blend.score:.4f}"


class BlendFitter:
    """Fits one blend on known rows: without predictions, or with one for every row.

    Args:
        workshop: model, universal string and limits.
        triples: the rows.
        rows: they, embedded.
        targets: (n, d) vectors of their prompts.
        clock: ends the work early.
        text_key: of the texts alone, where predictions are used beside them.
    """

    def __init__(
        self,
        workshop: BlendContext,
        triples: Triples,
        rows: EmbeddedRows,
        targets: Vectors,
        *,
        clock: Clock | None = None,
        text_key: Key | None = None,
    ) -> None:
        self._workshop = workshop
        self._triples = triples
        self._rows = rows
        self._targets = targets
        self._clock = clock
        self._text_key = text_key

    def learn(self, keys: Sequence[Key], kept: tuple[Key, BlendSettings] | None) -> FittedKey:
        """Choose a key and tune the blend, or fit with those kept from an earlier fit."""
        seed = self._workshop.seed
        if kept is not None:
            key, settings = kept
            return FittedKey(key, fit_blend(self._samples(key), settings))
        rows, clock = self._rows.vectors, self._clock
        key, _ = choose_key(keys, rows, self._triples, self._targets, seed=seed, clock=clock)
        samples = self._samples(key)
        trials = self._workshop.trials
        return FittedKey(key, tune(samples, trials=trials, seed=seed, clock=clock))

    def _samples(self, key: Key) -> Samples:
        """Set every row, or a draw of many, on a stage that does not know its prompt."""
        seed = self._workshop.seed
        drawn = np.random.default_rng(seed).permutation(len(self._triples))[:_MOST_SAMPLES]
        scenes: list[RowCandidates] = []
        tested: list[int] = []
        folds: list[int] = []
        groups = self._triples.groups()
        for fold, (known, test) in enumerate(grouped_folds(groups, seed=seed)):
            rows = np.intersect1d(test, drawn)
            scenes += self._stage(key, known).scenes(self._take(rows), None, self._clock)
            tested += rows.tolist()
            folds += [fold] * len(rows)
        earned = [
            scs_between(scene.vectors, self._targets[row : row + 1])[:, 0]
            for scene, row in zip(scenes, tested, strict=True)
        ]
        return Samples(scenes, earned, np.array(folds), self._served(scenes, tested))

    def _take(self, numbers: Numbers) -> EmbeddedRows:
        rows = self._rows.take(numbers)
        return rows if self._text_key is not None else rows.without_predictions()

    def _stage(self, key: Key, known: Numbers) -> SceneBuilder:
        """Return a stage that knows some of the rows."""
        bank = Bank.of(self._triples.take(known), self._targets[known])
        rows = self._rows.vectors.take(known)
        by_text = Retriever(self._text_key or key, rows, bank)
        by_all = Retriever(key, rows, bank) if self._text_key is not None else None
        return self._workshop.stage(by_text, by_all, self._clock)

    def _served(
        self, scenes: Sequence[RowCandidates], tested: Sequence[int]
    ) -> NDArray[np.bool_] | None:
        """Tell of which rows the prediction earned more than the centre of the texts does."""
        if self._text_key is None:
            return None
        predictions = self._rows.vectors.predictions
        assert predictions is not None
        targets = self._targets[tested]
        centres = np.stack([scene.by_text.middle for scene in scenes])
        said = sharpened_cosines(predictions[tested], targets)
        served: NDArray[np.bool_] = said > sharpened_cosines(centres, targets)
        return served
