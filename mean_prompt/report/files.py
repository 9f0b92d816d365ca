"""What a report needs of a run's folder, read without the libraries that made it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mean_prompt.analysis.data import AffixAnalysis, Analysis
from mean_prompt.errors import InputError
from mean_prompt.report.history import History, read_history
from mean_prompt.run_files import ANALYSIS, BEST, EVENTS, RECIPE, RESULT, ROWS, read_events

#: Seconds that an event's time may differ by.
_ROUNDING: Final = 0.01

_Model = TypeVar("_Model", bound=BaseModel)


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class BaselineRow(_Read):
    """A string that the one found is compared with; see ``optimize.baselines``."""

    name: str
    text: str
    score: float


class SideRow(_Read):
    """Predictions with and without an affix; see :class:`~mean_prompt.result.Side`."""

    rows: int
    groups: int
    without: float
    affixed: float
    low: float
    high: float


class ContextRows(_Read):
    """What an affix does; see :class:`~mean_prompt.result.ContextScores`."""

    position: str
    everything: SideRow
    train: SideRow
    holdout: SideRow | None


class ResultFile(_Read):
    """``result.json``, as :class:`~mean_prompt.result.SearchResult` documents it.

    ``everything`` is the file as it stands.
    """

    string: str
    tokens: int
    score: float
    train_score: float
    holdout_score: float | None
    holdout_interval: tuple[float, float] | None
    ceiling: float
    fraction: float
    baselines: tuple[BaselineRow, ...]
    evaluations: int
    evaluations_per_second: float
    seconds: float
    stopped: bool
    context: ContextRows | None = None
    everything: dict[str, Any]


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
    result: ResultFile | None
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
        result = _read(path / RESULT, ResultFile)
        if result is not None and _is_older(result, history):
            result = None
        string = _string(path, history, result)
        analysis = _read(path / ANALYSIS, Analysis)
        if analysis is not None and analysis.look.text != string:
            analysis = None
        affix = _read(path / ROWS, AffixAnalysis)
        if affix is not None and affix.text != string:
            affix = None
        return cls(path, recipe, history, result, string, analysis, affix)


def _string(path: Path, history: History, result: ResultFile | None) -> str | None:
    if result is not None:
        return result.string
    if history.improvements:
        return history.improvements[-1].text
    best = path / BEST
    return best.read_text("utf-8") if best.is_file() else None


def _events(path: Path) -> list[dict[str, Any]]:
    return list(read_events(path / EVENTS)) if (path / EVENTS).exists() else []


def _is_older(result: ResultFile, history: History) -> bool:
    """Tell whether the run was gone on with after its result was written."""
    return history.last is not None and history.last[0] > result.seconds + _ROUNDING


def _read(path: Path, model: type[_Model]) -> _Model | None:
    """Read a JSON file of a run; ``None`` where it is not there."""
    try:
        data = json.loads(path.read_text("utf-8"))
        return model.model_validate(data | {"everything": data} if model is ResultFile else data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"a run's {path.name} must be whole: {path}: {_reason(error)}; delete it and make it "
            "anew, or name another run"
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
