"""Find the mean prompt: the string whose embedding is closest to a whole corpus of prompts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mean_prompt.api import score, search, search_affix
    from mean_prompt.corpus.corpus import Corpus
    from mean_prompt.corpus.rows import Rows, Triples
    from mean_prompt.corpus.triples import read_rows, read_triples
    from mean_prompt.corpus.vectors.cluster import Cluster
    from mean_prompt.corpus.vectors.job import embed
    from mean_prompt.encoder.encoder import Encoder
    from mean_prompt.encoder.loading import load_encoder
    from mean_prompt.hybrid.predictor import HybridPredictor
    from mean_prompt.objective.scs import ExpectedSCS
    from mean_prompt.optimize.affix.context import Context
    from mean_prompt.report.progress.terminal import progress_display
    from mean_prompt.runs.recipe import Recipe
    from mean_prompt.runs.result import ScoredString, SearchResult
    from mean_prompt.system.errors import InputError, MeanPromptError, RunError

__all__ = [
    "Cluster",
    "Context",
    "Corpus",
    "Encoder",
    "ExpectedSCS",
    "HybridPredictor",
    "InputError",
    "MeanPromptError",
    "Recipe",
    "Rows",
    "RunError",
    "ScoredString",
    "SearchResult",
    "Triples",
    "embed",
    "load_encoder",
    "progress_display",
    "read_rows",
    "read_triples",
    "score",
    "search",
    "search_affix",
]

_HOMES: Final = {
    "Cluster": "corpus.vectors.cluster",
    "Context": "optimize.affix.context",
    "Corpus": "corpus.corpus",
    "Encoder": "encoder.encoder",
    "ExpectedSCS": "objective.scs",
    "HybridPredictor": "hybrid.predictor",
    "InputError": "system.errors",
    "MeanPromptError": "system.errors",
    "Recipe": "runs.recipe",
    "Rows": "corpus.rows",
    "RunError": "system.errors",
    "ScoredString": "runs.result",
    "SearchResult": "runs.result",
    "Triples": "corpus.rows",
    "embed": "corpus.vectors.job",
    "load_encoder": "encoder.loading",
    "progress_display": "report.progress.terminal",
    "read_rows": "corpus.triples",
    "read_triples": "corpus.triples",
    "score": "api",
    "search": "api",
    "search_affix": "api",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: torch takes seconds, ``--help`` must not."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
