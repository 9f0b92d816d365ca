"""One search from start to result: recipe, session, folder, checkpoint."""

from typing import TYPE_CHECKING

from mean_prompt.system.lazy import lazy_exports

if TYPE_CHECKING:
    from mean_prompt.runs.affix_session import AffixRun as AffixRun, worth_seconds as worth_seconds
    from mean_prompt.runs.climbing import StudySession as StudySession
    from mean_prompt.runs.files import (
        ANALYSIS as ANALYSIS,
        BEST as BEST,
        EVENTS as EVENTS,
        LIVE as LIVE,
        RECIPE as RECIPE,
        REPORT as REPORT,
        RESULT as RESULT,
        ROWS as ROWS,
        STUDY as STUDY,
        WORKERS as WORKERS,
        read_events as read_events,
        read_json as read_json,
    )
    from mean_prompt.runs.folder import RunFolder as RunFolder, begun_recipe as begun_recipe
    from mean_prompt.runs.identity import model_notes as model_notes, run_identity as run_identity
    from mean_prompt.runs.progress import (
        Listener as Listener,
        Progress as Progress,
        Tracker as Tracker,
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
    from mean_prompt.runs.resume import (
        Resumer as Resumer,
        check_identity as check_identity,
        check_recipe as check_recipe,
    )
    from mean_prompt.runs.session import Search as Search, close_search as close_search
    from mean_prompt.runs.snapshots import Snapshots as Snapshots
    from mean_prompt.runs.status import RunStatus as RunStatus, current_result as current_result
    from mean_prompt.runs.study_file import (
        SQLITE_PATIENCE as SQLITE_PATIENCE,
        StudyStore as StudyStore,
        close_storage as close_storage,
        write_ahead as write_ahead,
    )
    from mean_prompt.runs.telling import ProgressReporter as ProgressReporter

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "affix_session": ["AffixRun", "worth_seconds"],
        "climbing": ["StudySession"],
        "files": [
            "ANALYSIS",
            "BEST",
            "EVENTS",
            "LIVE",
            "RECIPE",
            "REPORT",
            "RESULT",
            "ROWS",
            "STUDY",
            "WORKERS",
            "read_events",
            "read_json",
        ],
        "folder": ["RunFolder", "begun_recipe"],
        "identity": ["model_notes", "run_identity"],
        "progress": ["Listener", "Progress", "Tracker"],
        "recipe": ["Recipe"],
        "result": [
            "ScoredString",
            "SearchResult",
            "affix_headings",
            "affix_rows",
            "compared",
            "effort",
            "holdout_line",
            "no_affix",
        ],
        "resume": ["Resumer", "check_identity", "check_recipe"],
        "session": ["Search", "close_search"],
        "snapshots": ["Snapshots"],
        "status": ["RunStatus", "current_result"],
        "study_file": ["SQLITE_PATIENCE", "StudyStore", "close_storage", "write_ahead"],
        "telling": ["ProgressReporter"],
    },
)
