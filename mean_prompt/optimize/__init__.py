"""The search for a string: edits and their predicted scores, annealing, tuning, baselines."""

from typing import TYPE_CHECKING

from mean_prompt.system.lazy import lazy_exports

if TYPE_CHECKING:
    from mean_prompt.optimize.affix.context import (
        PREDICTIONS as PREDICTIONS,
        Context as Context,
        Joiner as Joiner,
        Position as Position,
    )
    from mean_prompt.optimize.affix.evaluator import (
        Affix as Affix,
        AffixEvaluator as AffixEvaluator,
        Caution as Caution,
        Scores as Scores,
        row_scores as row_scores,
    )
    from mean_prompt.optimize.affix.problem import AffixProblem as AffixProblem
    from mean_prompt.optimize.affix.search import (
        AffixSearch as AffixSearch,
        AffixSettings as AffixSettings,
    )
    from mean_prompt.optimize.affix.units import UnitBank as UnitBank
    from mean_prompt.optimize.budget import Budget as Budget
    from mean_prompt.optimize.climb import (
        Climb as Climb,
        ClimbSettings as ClimbSettings,
        Edits as Edits,
    )
    from mean_prompt.optimize.climber import Climber as Climber
    from mean_prompt.optimize.constraints import (
        Alphabet as Alphabet,
        Constraints as Constraints,
        Rules as Rules,
    )
    from mean_prompt.optimize.evaluator import (
        CONTENDERS as CONTENDERS,
        SCREENING_NOISE as SCREENING_NOISE,
        Candidate as Candidate,
        Evaluator as Evaluator,
    )
    from mean_prompt.optimize.exchange import EXCHANGES as EXCHANGES
    from mean_prompt.optimize.inversion import Inverter as Inverter, Target as Target
    from mean_prompt.optimize.moves import MoveMix as MoveMix
    from mean_prompt.optimize.problem import Problem as Problem
    from mean_prompt.optimize.sampling import (
        ClimbRecord as ClimbRecord,
        Sampling as Sampling,
        StudySettings as StudySettings,
    )
    from mean_prompt.optimize.scores import (
        Baseline as Baseline,
        ContextScores as ContextScores,
        Side as Side,
        score_baselines as score_baselines,
    )
    from mean_prompt.optimize.starts import (
        corpus_starts as corpus_starts,
        filled_start as filled_start,
    )
    from mean_prompt.optimize.study import (
        CLIMBER as CLIMBER,
        ClimbStudy as ClimbStudy,
        RecordBoard as RecordBoard,
        StudyEvent as StudyEvent,
    )
    from mean_prompt.optimize.vocabulary import (
        Vocabulary as Vocabulary,
        likely_tokens as likely_tokens,
        mine_phrases as mine_phrases,
    )

__getattr__, __all__ = lazy_exports(__name__, __file__)
