"""What a search found, as a typed object and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self

from mean_prompt.display.html import view_html
from mean_prompt.display.views import result_view, scored_view
from mean_prompt.errors import InputError
from mean_prompt.objective import Interval
from mean_prompt.optimize.baselines import Baseline
from mean_prompt.run_files import RESULT

#: What reading raises where something else stands in a result's place.
_UNREADABLE: Final = (
    OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError,
)  # fmt: skip
_PLAIN_FIELDS: Final = (
    "string",
    "tokens",
    "model_tokens",
    "score",
    "train_score",
    "holdout_score",
    "ceiling",
    "fraction",
    "evaluations",
    "seconds",
    "search_seconds",
    "stopped",
)


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

    @classmethod
    def of_dict(cls, data: dict[str, Any]) -> Self:
        """Read what ``dataclasses.asdict`` made of one."""
        names = ("everything", "train", "holdout")
        sides = {name: data[name] and Side(**data[name]) for name in names}
        return cls(position=data["position"], **sides)


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

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the result of a run's folder.

        Raises:
            InputError: the folder holds no finished run.
        """
        try:
            data = json.loads((folder / RESULT).read_text("utf-8"))
            interval = data.pop("holdout_interval")
            data.pop("evaluations_per_second")
            rows = tuple(Baseline(**row) for row in data.pop("baselines"))
            affix = data.pop("context", None)
            context = None if affix is None else ContextScores.of_dict(affix)
            own = {name: data.pop(name) for name in _PLAIN_FIELDS}
        except _UNREADABLE as error:
            raise InputError(
                f"a run must hold a whole {RESULT}: {folder}: {error or type(error).__name__}"
            ) from error
        bounds = None if interval is None else Interval(*interval)
        return cls(
            **own,
            holdout_interval=bounds,
            baselines=rows,
            out=folder,
            context=context,
            details=data,
        )


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
