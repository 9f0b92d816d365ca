"""Hybrid predictions of rows' prompts: a universal string, similar rows and an LLM combined."""

from typing import TYPE_CHECKING

from mean_prompt.system.lazy import lazy_exports

if TYPE_CHECKING:
    from mean_prompt.hybrid.answer import Answer as Answer, Outcome as Outcome
    from mean_prompt.hybrid.check import Finding as Finding, check_submission as check_submission
    from mean_prompt.hybrid.comparison import Comparison as Comparison, compare as compare
    from mean_prompt.hybrid.evaluation import (
        HYBRID as HYBRID,
        LLM as LLM,
        METHOD_HEADINGS as METHOD_HEADINGS,
        UNIVERSAL as UNIVERSAL,
        Evaluation as Evaluation,
        GroupScore as GroupScore,
        MethodScore as MethodScore,
        method_figures as method_figures,
        method_scores as method_scores,
        outcomes_of as outcomes_of,
    )
    from mean_prompt.hybrid.job import PredictionJob as PredictionJob
    from mean_prompt.hybrid.journal import (
        ANSWERS as ANSWERS,
        FIT as FIT,
        JOB as JOB,
        PAGE as PAGE,
        TABLE as TABLE,
        WORK as WORK,
        read_answers as read_answers,
    )
    from mean_prompt.hybrid.options import BlendOptions as BlendOptions
    from mean_prompt.hybrid.predictor import HybridPredictor as HybridPredictor
    from mean_prompt.hybrid.request import (
        Request as Request,
        Summary as Summary,
        universal_string as universal_string,
    )
    from mean_prompt.hybrid.submission import HEADER as HEADER
    from mean_prompt.hybrid.trained import (
        SideReport as SideReport,
        VectorReport as VectorReport,
        VectorTraining as VectorTraining,
        train_vector as train_vector,
    )

__getattr__, __all__ = lazy_exports(__name__, __file__)
