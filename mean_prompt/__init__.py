"""Find the mean prompt: the string whose embedding is closest to a whole corpus of prompts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mean_prompt.api import score, search, search_affix
    from mean_prompt.context import Context
    from mean_prompt.corpus import Corpus
    from mean_prompt.encoder import Encoder
    from mean_prompt.errors import InputError, MeanPromptError, RunError
    from mean_prompt.models import load_encoder
    from mean_prompt.objective import ExpectedSCS
    from mean_prompt.recipe import Recipe
    from mean_prompt.result import ScoredString, SearchResult

__all__ = [
    "Context",
    "Corpus",
    "Encoder",
    "ExpectedSCS",
    "InputError",
    "MeanPromptError",
    "Recipe",
    "RunError",
    "ScoredString",
    "SearchResult",
    "load_encoder",
    "score",
    "search",
    "search_affix",
]

_HOMES: Final = {
    "Context": "context",
    "Corpus": "corpus",
    "Encoder": "encoder",
    "ExpectedSCS": "objective",
    "InputError": "errors",
    "MeanPromptError": "errors",
    "Recipe": "recipe",
    "RunError": "errors",
    "ScoredString": "result",
    "SearchResult": "result",
    "load_encoder": "models",
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
