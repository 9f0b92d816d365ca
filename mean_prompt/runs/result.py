"""The result of a search: as an object, as ``result.json``, and as HTML in notebooks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, TypeAdapter

from mean_prompt.objective import Interval
from mean_prompt.optimize import Baseline, ContextScores
from mean_prompt.runs.files import RESULT, read_json
from mean_prompt.system import InputError, Table, View, format_duration, shortened, view_html

#: Most characters that are shown of the string found.
_MOST: Final = 2_000
#: Seconds by which the times of events and results may differ, as they are rounded.
_ROUNDING: Final = 0.01


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of a search: the string found, its scores and the effort spent.

    Attributes:
        tokens: number of the string's tokens without special ones; ``model_tokens`` with them.
        score: expected SCS over every prompt, in float32.
        train_score: expected SCS over the prompts that the search saw.
        holdout_score: expected SCS over the prompts that the search did not see, or ``None``
            without a hold-out.
        ceiling: highest score of any unit vector; ``fraction`` is the share of it that is reached.
        seconds: duration of the run; ``search_seconds`` is without loading and embedding.
        stopped: whether the user ended the run before its budget was spent.
        context: scores of predictions with and without the affix; ``None`` unless one was searched.
            For an affix, the scores above are mean SCS of predictions with it, and the ceiling is
            the highest mean that a single shift of all predictions' vectors reaches.
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
        """Strings encoded per second while searching."""
        return self.evaluations / max(self.search_seconds, 1e-9)

    def as_dict(self) -> dict[str, Any]:
        """Return the result as the dict that ``result.json`` holds."""
        data, interval = asdict(self), self.holdout_interval
        del data["out"], data["details"]
        if self.context is None:
            del data["context"]
        if interval:
            data["holdout_interval"] = [interval.low, interval.high]
        return data | {"evaluations_per_second": self.evaluations_per_second} | self.details

    def _repr_html_(self) -> str:
        return view_html(result_view(self))

    def is_before(self, seconds: float) -> bool:
        """Return whether the run continued after this result, to a last event at ``seconds``."""
        return seconds > self.seconds + _ROUNDING

    @classmethod
    def load(cls, folder: Path) -> SearchResult:
        """Read the result in a run's folder; raise an InputError if there is none."""
        result = cls.find(folder)
        if result is None:
            raise InputError(f"a finished run holds a {RESULT}: found none in {folder}")
        return result

    @classmethod
    def find(cls, folder: Path) -> SearchResult | None:
        """Read the result in a run's folder, or return ``None`` if there is none."""
        found = read_json(folder / RESULT, _adapter().validate_python)
        return None if found is None else replace(found, out=folder)


@cache
def _adapter() -> TypeAdapter[SearchResult]:
    return TypeAdapter(Annotated[SearchResult, BeforeValidator(_fields)])


def _fields(data: object) -> object:
    if not isinstance(data, dict):
        return data
    own = {one.name for one in fields(SearchResult)} - {"out", "details"}
    found = {name: value for name, value in data.items() if name in own}
    if isinstance(bounds := found.get("holdout_interval"), list):
        found["holdout_interval"] = dict(zip(("low", "high"), bounds, strict=True))
    rest = {name: value for name, value in data.items() if name not in own}
    rest.pop("evaluations_per_second", None)  # no field, but derived from them
    return found | {"details": rest}


@dataclass(frozen=True, slots=True)
class ScoredString:
    """A string and its score over every prompt of a corpus.

    Attributes:
        tokens: number of the string's tokens, without special ones.
        ceiling: highest score of any unit vector; ``fraction`` is ``score`` / ``ceiling``.
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


def result_view(result: SearchResult) -> View:
    """Return what a notebook shows of a search result: string, scores and baselines."""
    if result.context is not None:
        return _affix_view(result, result.context)
    *others, (score, share, name, _) = compared(result)
    rows = [(name, score, share, shortened(text)) for score, share, name, text in others]
    table = Table(
        "expected SCS over every prompt",
        ("string", "score", "of the ceiling", "text"),
        (*rows, (name, score, share, "as above")),
        strong=len(others),
    )
    return _scored(result, result.string, (table,), _closing(result))


def _affix_view(result: SearchResult, scores: ContextScores) -> View:
    gain = scores.everything.ratio - 1
    title = f"{scores.position} that changes the mean SCS of predictions by {gain:+.2%}"
    table = Table(
        f"mean SCS of predictions, {scores.position} searched",
        affix_headings(scores),
        tuple(affix_rows(scores)),
    )
    return View(
        title if result.string else no_affix(scores),
        string=shortened(result.string, _MOST) if result.string else None,
        tables=(table,),
        lines=_closing(result),
    )


def _closing(result: SearchResult) -> tuple[str, ...]:
    model = result.details.get("model")
    lines = (
        holdout_line(result) if result.context is None else None,
        effort(result),
        f"model {model['name']}" if isinstance(model, dict) and "name" in model else None,
        f"saved in {result.out}" if result.out else None,
    )
    return tuple(line for line in lines if line)


def scored_view(scored: ScoredString) -> View:
    """Return what a notebook shows of a scored string: text, score and tokens."""
    cut = "; the model reads only its beginning" if scored.truncated else ""
    return _scored(scored, scored.text, (), (f"{scored.tokens:,} tokens{cut}",))


def _scored(
    found: SearchResult | ScoredString, text: str, tables: tuple[Table, ...], lines: tuple[str, ...]
) -> View:
    return View(
        f"expected SCS {found.score:.5f}, {found.fraction:.3f} of the ceiling {found.ceiling:.5f}",
        string=shortened(text, _MOST),
        share=min(max(found.fraction, 0.0), 1.0),
        tables=tables,
        lines=lines,
    )


def effort(result: SearchResult) -> str:
    """Return a line with the tokens of the string found and the evaluations and time spent."""
    line = (
        f"{result.tokens} tokens, {result.evaluations:,} evaluations in "
        f"{format_duration(result.seconds)} ({result.evaluations_per_second:,.0f}/s searching)"
    )
    return f"{line}; stopped early" if result.stopped else line


def holdout_line(result: SearchResult) -> str | None:
    """Return a line with the training and hold-out scores, or ``None`` without a hold-out."""
    interval = result.holdout_interval
    if result.holdout_score is None or interval is None:
        return None
    return (
        f"training {result.train_score:.5f}, hold-out {result.holdout_score:.5f} "
        f"(95 % interval {interval.low:.5f} to {interval.high:.5f})"
    )


def compared(result: SearchResult) -> list[tuple[str, str, str, str]]:
    """Return (score, share of the ceiling, name, text) of each baseline, and of the result last."""
    rows = [(row.score, row.name, row.text) for row in result.baselines]
    rows = [*sorted(rows, key=lambda row: row[0]), (result.score, "found", result.string)]
    return [
        (f"{score:.5f}", f"{score / result.ceiling:.3f}", name, text) for score, name, text in rows
    ]


def affix_headings(scores: ContextScores) -> tuple[str, ...]:
    """Return the column headings of the table of affix scores (:func:`affix_rows`)."""
    without, affixed = f"without {scores.position}", f"with {scores.position}"
    return ("rows", "number", "prompts", without, affixed, "change", "95 % interval")


def affix_rows(scores: ContextScores) -> list[tuple[str, ...]]:
    """Return table rows of scores without and with an affix: training, hold-out and all."""
    sides = [("searched", scores.train), ("held out", scores.holdout), ("all", scores.everything)]
    return [
        (
            name,
            f"{side.rows:,}",
            f"{side.groups:,}",
            f"{side.without:.5f}",
            f"{side.affixed:.5f}",
            f"{side.ratio - 1:+.2%}",
            f"{side.low / side.without:+.2%} to {side.high / side.without:+.2%}",
        )
        for name, side in sides
        if side is not None
    ]


def no_affix(scores: ContextScores) -> str:
    """Return the message that no affix was found that is better than none."""
    return (
        f"No {scores.position} was found that is better than none: leave predictions as they are."
    )
