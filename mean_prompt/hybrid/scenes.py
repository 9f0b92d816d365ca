"""Builds rows' candidate answers and their features: retrieve, make strings, embed, compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mean_prompt.corpus import Corpus
from mean_prompt.encoder import EmbeddingSpace
from mean_prompt.hybrid.candidates import (
    AnswerCandidate,
    CandidateFactory,
    CandidateInputs,
)
from mean_prompt.hybrid.options import BlendOptions
from mean_prompt.hybrid.posterior import (
    Near,
    RowCandidates,
    expected_known,
    scs_between,
    signs_of,
)
from mean_prompt.hybrid.retrieval import EmbeddedRows, Neighbourhood, Numbers, Retriever
from mean_prompt.hybrid.settings import BlendSettings
from mean_prompt.hybrid.submission import is_null_to_pandas
from mean_prompt.objective import ExpectedSCS, Objective, compress_if_large
from mean_prompt.system import Deadline


@dataclass(frozen=True, slots=True)
class BlendContext:
    """Inputs shared by fitting and answering: embeddings, universal string, options, corpus."""

    space: EmbeddingSpace
    universal: str
    options: BlendOptions
    corpus: Corpus | None
    _corpus_objectives: list[Objective] = field(default_factory=list)

    def builder(
        self, retriever: Retriever, *, with_llm: bool, deadline: Deadline | None
    ) -> SceneBuilder:
        """Return a builder of candidate answers that uses the retriever's known prompts."""
        factory = CandidateFactory(
            self.universal, prefix=self.options.prefix, suffix=self.options.suffix
        )
        exact = ExpectedSCS(retriever.bank.vectors, device=self.space.device)
        objectives = [self._compressed(exact), *self._over_corpus(deadline)]
        max_tokens = self.options.max_tokens
        return SceneBuilder(
            self.space, factory, retriever, objectives, max_tokens, with_llm=with_llm
        )

    def _over_corpus(self, deadline: Deadline | None) -> list[Objective]:
        """Return the objective over the corpus of prompts, made once; empty without a corpus."""
        if self.corpus is not None and not self._corpus_objectives:
            vectors = self.space.exact(self.corpus.prompts, "corpus", deadline)
            exact = ExpectedSCS(vectors, self.corpus.weights, device=self.space.device)
            self._corpus_objectives.append(self._compressed(exact))
        return self._corpus_objectives

    def _compressed(self, exact: ExpectedSCS) -> Objective:
        compression = compress_if_large(exact, seed=self.options.seed)
        return compression.objective if compression else exact


@dataclass(frozen=True, slots=True, eq=False)
class SceneBuilder:
    """Makes rows' candidate answers and compares them with known prompts and predictions.

    Attributes:
        with_llm: whether predictions are used; every row must have one then.
        objectives: expected SCS over the known prompts, and over a corpus if there is one.
    """

    space: EmbeddingSpace
    factory: CandidateFactory
    retriever: Retriever
    objectives: Sequence[Objective]
    max_tokens: int
    with_llm: bool

    def build(
        self,
        rows: EmbeddedRows,
        settings: BlendSettings | None = None,
        deadline: Deadline | None = None,
        *,
        own: Numbers | None = None,
    ) -> list[RowCandidates]:
        """Return each row's candidate answers.

        ``own`` are the (n,) groups of rows that are known themselves, whose prompts are left out.
        """
        if not len(rows):
            return []
        by_text = self.retriever.retrieve(rows.by_text.vectors, own=own)
        by_all = None
        if self.with_llm:
            by_all = self.retriever.retrieve(rows.by_all.vectors, own=own)
        inputs = (self._inputs(rows, row, by_text, by_all) for row in range(len(rows)))
        candidates = self._within_budget([self.factory.candidates(i, settings) for i in inputs])
        texts = list(dict.fromkeys(one.text for some in candidates for one in some))
        number = {text: n for n, text in enumerate(texts)}
        vectors = self.space.screened(texts, "candidates", deadline)
        known, bank = expected_known(vectors, self.objectives), self.retriever.bank
        means = rows.means
        found: list[RowCandidates] = []
        for row, some in enumerate(candidates):
            numbers = [number[one.text] for one in some]
            made, worth = vectors[numbers], known[numbers]
            others = np.ones(len(bank.groups), bool)
            if own is not None:
                others = bank.groups != own[row]
                mine = scs_between(made, bank.vectors[~others]).sum(axis=1)
                worth[:, 0] = (worth[:, 0] * len(others) - mine) / others.sum()
            near_all = llm = signs = None
            if by_all is not None:
                near_all = Near.of(made, by_all, row, bank)
                llm = scs_between(made, rows.samples[row]).mean(axis=1)
                signs = signs_of(
                    means[row],
                    by_text.centres[row],
                    rows.originals[row],
                    rows.rewritten[row],
                    bank.vectors[others],
                )
            near = Near.of(made, by_text, row, bank)
            found.append(RowCandidates(some, made, near, near_all, llm, worth, signs))
        return found

    def _inputs(
        self, rows: EmbeddedRows, row: int, by_text: Neighbourhood, by_all: Neighbourhood | None
    ) -> CandidateInputs:
        near = self.retriever.prompts(by_text, row)
        if by_all is None:
            return CandidateInputs(rows.rows[row], near)
        return CandidateInputs(rows.rows[row], near, self.retriever.prompts(by_all, row))

    def _within_budget(
        self, candidates: Sequence[Sequence[AnswerCandidate]]
    ) -> list[list[AnswerCandidate]]:
        """Drop candidates with too many tokens, and those that pandas reads as missing values."""
        texts = list(dict.fromkeys(one.text for some in candidates for one in some))
        counts = self.space.tokens(texts)
        fits = {
            text
            for text, count in zip(texts, counts, strict=True)
            if count <= self.max_tokens and not is_null_to_pandas(text)
        }
        return [[one for one in some if one.text in fits] for some in candidates]
