"""Read the files of a search run that its page shows, without the libraries of the search."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from mean_prompt.report.analysis.data import AffixAnalysis, Analysis
from mean_prompt.report.page.history import History, read_history
from mean_prompt.runs import (
    ANALYSIS,
    EVENTS,
    RECIPE,
    ROWS,
    RunStatus,
    SearchResult,
    current_result,
    ended_state,
    read_events,
    read_json,
)
from mean_prompt.system import InputError, path_exists


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The content of a search run's folder, finished or not.

    Attributes:
        recipe: the run's settings, ``recipe.toml`` as text.
        result: result of a run that has ended and was not resumed since, or ``None``.
    """

    path: Path
    status: RunStatus
    recipe: str
    history: History
    result: SearchResult | None
    analysis: Analysis | None
    affix: AffixAnalysis | None = None

    @classmethod
    def read(cls, path: Path) -> RunFiles:
        """Read the folder of a search run.

        Raises:
            InputError: the folder holds no run, or a file in it is damaged.
        """
        status = RunStatus.read(path)
        if status.fault is not None:
            raise InputError(status.fault)
        try:
            recipe = (path / RECIPE).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"a run's recipe must be readable as UTF-8: {path / RECIPE}: {error}; name another "
                "run"
            ) from error
        has_events = path_exists(path / EVENTS)
        history = read_history(read_events(path / EVENTS)) if has_events else History()
        result = current_result(path, history.last and history.last[0])
        if result is not None:
            # A search writes its page at its end, while it still holds the folder's lock.
            status = replace(status, state=ended_state(result))
        analysis = read_json(path / ANALYSIS, Analysis.model_validate)
        if analysis is not None and analysis.look.text != status.string:
            analysis = None
        affix = read_json(path / ROWS, AffixAnalysis.model_validate)
        if affix is not None and affix.text != status.string:
            affix = None
        return cls(path, status, recipe, history, result, analysis, affix)
