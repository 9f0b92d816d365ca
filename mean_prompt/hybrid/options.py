"""Options shared by the commands ``predict`` and ``evaluate`` and by HybridPredictor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mean_prompt.corpus import Corpus
from mean_prompt.encoder import Encoder, load_encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class BlendOptions:
    """Options of a hybrid predictor: its model, corpus, prefix, suffix, token limit and tuning.

    Attributes:
        model: a name, a folder or a loaded encoder; the default model of a search if ``None``.
        trust: whether a named model may run code of its own.
        corpus: prompts that stand for the hidden ones, loaded or as files; a further part of the
            posterior unless empty.
        prefix, suffix: universal affixes, tried before and after predictions.
        vector: folder of a trained vector predictor; one is trained on the known rows if ``None``.
        row_search: strings to encode in a search for each row; 0 for none, and ``None`` for as
            many as fit a time limit, none without one.
    """

    model: str | Encoder | None = None
    trust: bool = False
    corpus: Corpus | tuple[str, ...] = ()
    prefix: str | None = None
    suffix: str | None = None
    max_tokens: int = 64
    trials: int = 24
    seed: int = 0
    vector: Path | None = None
    row_search: int | None = 0

    def load_model(self) -> Encoder:
        """Return the encoder, loading it if only its name or folder is given."""
        if self.model is None or isinstance(self.model, str):
            return load_encoder(self.model, trust=self.trust)
        return self.model

    def load_corpus(self) -> Corpus | None:
        """Return the corpus of prompts, reading it if files are given; ``None`` without one."""
        if isinstance(self.corpus, Corpus):
            return self.corpus
        return Corpus.from_files(*self.corpus) if self.corpus else None
