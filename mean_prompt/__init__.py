"""Find the mean prompt: the string whose embedding is closest to a whole corpus of prompts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mean_prompt.api import score, search, search_affix
    from mean_prompt.context import Context
    from mean_prompt.corpus import Corpus
    from mean_prompt.display.progress import progress_display
    from mean_prompt.embedding.cluster import Cluster
    from mean_prompt.embedding.job import embed
    from mean_prompt.encoder import Encoder
    from mean_prompt.errors import InputError, MeanPromptError, RunError
    from mean_prompt.hybrid.blend import HybridPredictor
    from mean_prompt.hybrid.files import read_rows, read_triples
    from mean_prompt.hybrid.rows import Rows, Triples
    from mean_prompt.models import load_encoder
    from mean_prompt.objective import ExpectedSCS
    from mean_prompt.recipe import Recipe
    from mean_prompt.result import ScoredString, SearchResult

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
    "Cluster": "embedding.cluster",
    "Context": "context",
    "Corpus": "corpus",
    "Encoder": "encoder",
    "ExpectedSCS": "objective",
    "HybridPredictor": "hybrid.blend",
    "InputError": "errors",
    "MeanPromptError": "errors",
    "Recipe": "recipe",
    "Rows": "hybrid.rows",
    "RunError": "errors",
    "ScoredString": "result",
    "SearchResult": "result",
    "Triples": "hybrid.rows",
    "embed": "embedding.job",
    "load_encoder": "models",
    "progress_display": "display.progress",
    "read_rows": "hybrid.files",
    "read_triples": "hybrid.files",
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
