"""What a search found, as a typed object and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, TypeAdapter

from mean_prompt.display.html import view_html
from mean_prompt.display.views import result_view, scored_view
from mean_prompt.errors import InputError
from mean_prompt.interval import Interval
from mean_prompt.run_files import RESULT, read_json

#: What the file holds of a result and its fields do not.
_DERIVED: Final = frozenset({"evaluations_per_second"})
#: Seconds that an event's time may differ by.
_ROUNDING: Final = 0.01


@dataclass(frozen=True, slots=True)
class Baseline:
    """A string that a search should beat, with its float32 score over every prompt."""

    name: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Side:
    """Predictions with and without an affix, on the rows of one side of a hold-out.

    Attributes:
        rows: how many; ``groups`` of them with a true prompt of their own.
        without: mean SCS of the predictions alone.
        affixed: mean SCS with the affix.
        low, high: 95 % interval of ``affixed - without``, from a bootstrap of paired differences
            over the groups.
    """

    rows: int
    groups: int
    without: float
    affixed: float
    low: float
    high: float

    @property
    def ratio(self) -> float:
        """Score with the affix as a multiple of the score without."""
        return self.affixed / self.without


@dataclass(frozen=True, slots=True)
class ContextScores:
    """What an affix does for predictions.

    Attributes:
        position: which side of the prediction it stands on.
        everything: all rows given.
        train: those that the search saw.
        holdout: those that it did not see, or ``None`` without a hold-out.
    """

    position: Literal["suffix", "prefix"]
    everything: Side
    train: Side
    holdout: Side | None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Attributes:
        string: the best string.
        tokens: its tokens, without special ones; ``model_tokens`` with them.
        score: expected SCS over every prompt given, float32.
        train_score: over the prompts that the search saw.
        holdout_score: over those it did not see, or ``None`` without a hold-out.
        holdout_interval: 95 % bootstrap interval of the hold-out score.
        ceiling: highest score of any unit vector over every prompt.
        fraction: ``score / ceiling``.
        baselines: what it is compared with, over every prompt.
        evaluations: strings encoded by the search.
        seconds: of the whole run; ``search_seconds`` without loading and embedding.
        stopped: whether somebody ended it before its budget.
        context: of an affix, how predictions do with it and without; its scores above are mean
            SCS of predictions with it, and its ceiling the highest one that a single shift of all
            the predictions' vectors reaches. ``None`` for a whole string.
        details: model, corpus, recipe and versions, as in ``result.json``.
    """

    string: str
    tokens: int
    model_tokens: int
    score: float
    train_score: float
    holdout_score: float | None
    holdout_interval: Interval | None
    ceiling: float
    fraction: float
    baselines: tuple[Baseline, ...]
    evaluations: int
    seconds: float
    search_seconds: float
    stopped: bool
    out: Path | None = None
    context: ContextScores | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def evaluations_per_second(self) -> float:
        """Strings encoded a second while searching."""
        return self.evaluations / max(self.search_seconds, 1e-9)

    def as_dict(self) -> dict[str, Any]:
        """Return the content of ``result.json``."""
        interval = self.holdout_interval
        return {
            "string": self.string,
            "tokens": self.tokens,
            "model_tokens": self.model_tokens,
            "score": self.score,
            "train_score": self.train_score,
            "holdout_score": self.holdout_score,
            "holdout_interval": None if interval is None else [interval.low, interval.high],
            "ceiling": self.ceiling,
            "fraction": self.fraction,
            "baselines": [asdict(baseline) for baseline in self.baselines],
            "evaluations": self.evaluations,
            "evaluations_per_second": self.evaluations_per_second,
            "seconds": self.seconds,
            "search_seconds": self.search_seconds,
            "stopped": self.stopped,
            **({} if self.context is None else {"context": asdict(self.context)}),
            **self.details,
        }

    def _repr_html_(self) -> str:
        return view_html(result_view(self))

    def is_before(self, seconds: float) -> bool:
        """Tell whether the run went on after it, as it did where an event is of a later time.

        Args:
            seconds: of the run, at its last event.
        """
        return seconds > self.seconds + _ROUNDING

    @classmethod
    def load(cls, folder: Path) -> SearchResult:
        """Read the result of a run's folder.

        Raises:
            InputError: the folder holds no finished run, or its result is damaged.
        """
        result = cls.find(folder)
        if result is None:
            raise InputError(f"a finished run holds a {RESULT}: found none in {folder}")
        return result

    @classmethod
    def find(cls, folder: Path) -> SearchResult | None:
        """Read the result of a run's folder; ``None`` where there is none.

        Raises:
            InputError: it is damaged.
        """
        found = read_json(folder / RESULT, _adapter().validate_python)
        return None if found is None else replace(found, out=folder)


@cache
def _adapter() -> TypeAdapter[SearchResult]:
    return TypeAdapter(Annotated[SearchResult, BeforeValidator(_fields)])


def _fields(data: object) -> object:
    """Return the content of ``result.json`` by the fields of a result."""
    if not isinstance(data, dict):
        return data
    own = {one.name for one in fields(SearchResult)} - {"out", "details"}
    found = {name: value for name, value in data.items() if name in own}
    if isinstance(bounds := found.get("holdout_interval"), list):
        found["holdout_interval"] = dict(zip(("low", "high"), bounds, strict=True))
    rest = {name: value for name, value in data.items() if name not in own | _DERIVED}
    return found | {"details": rest}


@dataclass(frozen=True, slots=True)
class ScoredString:
    """A string and its score over every prompt of a corpus.

    Attributes:
        text: the string.
        tokens: its tokens, without special ones.
        score: expected SCS, float32.
        fraction: of the ceiling.
        ceiling: highest score of any unit vector.
        truncated: whether the model reads only the string's beginning.
    """

    text: str
    tokens: int
    score: float
    fraction: float
    ceiling: float
    truncated: bool

    def _repr_html_(self) -> str:
        return view_html(scored_view(self))
