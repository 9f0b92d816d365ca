"""What a report needs of a run's folder, read without the libraries that made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mean_prompt.report.analysis.data import AffixAnalysis, Analysis
from mean_prompt.report.page.history import History, read_history
from mean_prompt.runs import (
    ANALYSIS,
    BEST,
    EVENTS,
    RECIPE,
    ROWS,
    SearchResult,
    read_events,
    read_json,
)
from mean_prompt.system import InputError


@dataclass(frozen=True, slots=True)
class RunFiles:
    """A run's folder, as far as there is something in it.

    Attributes:
        path: of the folder.
        recipe: ``recipe.toml`` as text.
        history: of its events.
        result: of a run that ended, or ``None``; not of one that was gone on with since.
        string: the best one so far, or ``None`` where there is none yet.
        analysis: of that string, or ``None``.
        affix: of that string, where it is one that stands beside predictions.
    """

    path: Path
    recipe: str
    history: History
    result: SearchResult | None
    string: str | None
    analysis: Analysis | None
    affix: AffixAnalysis | None = None

    @classmethod
    def read(cls, path: Path) -> RunFiles:
        """Read a folder.

        Raises:
            InputError: it holds no run, or a file in it is damaged.
        """
        try:
            recipe = (path / RECIPE).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "no UTF-8"
            raise InputError(
                f"a report is of a run's folder: {path} holds no {RECIPE} that can be read "
                f"({reason}); name the folder of a run"
            ) from error
        history = read_history(_events(path))
        result = SearchResult.find(path)
        if result is not None and history.last is not None and result.is_before(history.last[0]):
            result = None
        string = _string(path, history, result)
        analysis = read_json(path / ANALYSIS, Analysis.model_validate)
        if analysis is not None and analysis.look.text != string:
            analysis = None
        affix = read_json(path / ROWS, AffixAnalysis.model_validate)
        if affix is not None and affix.text != string:
            affix = None
        return cls(path, recipe, history, result, string, analysis, affix)


def _string(path: Path, history: History, result: SearchResult | None) -> str | None:
    if result is not None:
        return result.string
    if history.improvements:
        return history.improvements[-1].text
    best = path / BEST
    return best.read_text("utf-8") if best.is_file() else None


def _events(path: Path) -> list[dict[str, Any]]:
    return list(read_events(path / EVENTS)) if (path / EVENTS).exists() else []
