"""One search run from start to result: its recipe, session, folder on disk and checkpoint."""

from typing import TYPE_CHECKING

from mean_prompt.system.lazy import lazy_exports

if TYPE_CHECKING:
    from mean_prompt.runs.affix_session import (
        AffixSession as AffixSession,
        worth_seconds as worth_seconds,
    )
    from mean_prompt.runs.checkpoint import (
        Checkpoint as Checkpoint,
        check_recipe as check_recipe,
    )
    from mean_prompt.runs.climbers import (
        ENCODER as ENCODER,
        fitting as fitting,
        on_cluster as on_cluster,
        team_of as team_of,
    )
    from mean_prompt.runs.files import (
        ANALYSIS as ANALYSIS,
        BEST as BEST,
        CHECKPOINT as CHECKPOINT,
        EVENTS as EVENTS,
        LIVE as LIVE,
        RECIPE as RECIPE,
        REPORT as REPORT,
        RESULT as RESULT,
        ROWS as ROWS,
        STUDY as STUDY,
        read_events as read_events,
        read_json as read_json,
    )
    from mean_prompt.runs.folder import RunFolder as RunFolder, begun_recipe as begun_recipe
    from mean_prompt.runs.inputs import SearchInputs as SearchInputs
    from mean_prompt.runs.inversion import (
        INVERTER as INVERTER,
        TOGETHER as TOGETHER,
        Inversion as Inversion,
        invert_vectors as invert_vectors,
        inverted as inverted,
    )
    from mean_prompt.runs.progress import (
        SearchListener as SearchListener,
        SearchProgress as SearchProgress,
    )
    from mean_prompt.runs.recipe import Recipe as Recipe
    from mean_prompt.runs.result import (
        ScoredString as ScoredString,
        SearchResult as SearchResult,
        affix_headings as affix_headings,
        affix_rows as affix_rows,
        compared as compared,
        effort as effort,
        holdout_line as holdout_line,
        no_affix as no_affix,
    )
    from mean_prompt.runs.session import (
        SearchSession as SearchSession,
        build_problem as build_problem,
    )
    from mean_prompt.runs.status import (
        RunStatus as RunStatus,
        current_result as current_result,
        ended_state as ended_state,
    )
    from mean_prompt.runs.study_file import STUDY_NAME as STUDY_NAME

__getattr__, __all__ = lazy_exports(__name__, __file__)
