"""Find the mean prompt: the string whose embedding is closest to a whole corpus of prompts."""

from typing import TYPE_CHECKING

from mean_prompt.system.lazy import lazy_exports

if TYPE_CHECKING:
    from mean_prompt.api import (
        invert as invert,
        predict as predict,
        score as score,
        search as search,
        search_affix as search_affix,
    )
    from mean_prompt.corpus import (
        Corpus as Corpus,
        Rows as Rows,
        Triples as Triples,
        embed as embed,
        read_rows as read_rows,
        read_triples as read_triples,
    )
    from mean_prompt.encoder import Encoder as Encoder, load_encoder as load_encoder
    from mean_prompt.hybrid import (
        BlendOptions as BlendOptions,
        HybridPredictor as HybridPredictor,
    )
    from mean_prompt.objective import ExpectedSCS as ExpectedSCS
    from mean_prompt.optimize import Context as Context
    from mean_prompt.report import progress_display as progress_display
    from mean_prompt.runs import (
        Inversion as Inversion,
        Recipe as Recipe,
        ScoredString as ScoredString,
        SearchResult as SearchResult,
    )
    from mean_prompt.system import (
        Cluster as Cluster,
        InputError as InputError,
        MeanPromptError as MeanPromptError,
        RunError as RunError,
    )
    from mean_prompt.training import (
        VIEWS as VIEWS,
        RowView as RowView,
        VectorPredictor as VectorPredictor,
    )

__getattr__, __all__ = lazy_exports(__name__, __file__)
