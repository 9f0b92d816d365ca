"""Predict the prompt of a rewrite with an LLM: local, behind a server, or recorded in a file."""

from typing import TYPE_CHECKING

from mean_prompt.system.lazy import lazy_exports

if TYPE_CHECKING:
    from mean_prompt.llm.base import (
        Example as Example,
        Prediction as Prediction,
        Predictor as Predictor,
    )
    from mean_prompt.llm.factory import make_predictor as make_predictor
    from mean_prompt.llm.options import LLMOptions as LLMOptions
    from mean_prompt.llm.recorded import RecordedPredictor as RecordedPredictor

__getattr__, __all__ = lazy_exports(__name__, __file__)
