"""Plotly figures of predicted answers: counts by kind, expected and actual scores, and gains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from mean_prompt.hybrid import Outcome
from mean_prompt.report.page.figures import (
    INK,
    SERIES,
    SYMBOLS,
    Figure,
    Trace,
    bars,
    figure,
    histogram,
    intervals,
    label,
    points,
)
from mean_prompt.report.page.hybrid_data import CalibrationBin, Gain, KindRow, KnowledgeRow

if TYPE_CHECKING:
    from mean_prompt.hybrid import MethodScore

#: Kinds of answers; each has its own colour.
_KINDS: Final = (
    "prediction", "affixed", "retrieved", "template", "joined", "shortened", "universal",
    "line", "searched", "consensus",
)  # fmt: skip
#: Patterns that distinguish bars if colours do not.
_PATTERNS: Final = ("", "/", "x", "\\", ".", "-", "|", "+")
#: Most rows that are drawn as points.
_MOST_POINTS: Final = 5_000
#: Most characters of an answer that are shown at the pointer.
_SHOWN: Final = 300


def kinds_bars(kinds: Sequence[KindRow]) -> Figure:
    """Return a bar chart of the number of answers of each kind, the most frequent on top."""
    return bars(
        [row.kind for row in kinds],
        [row.rows for row in kinds],
        x="rows",
        marker={"color": [_colour(row.kind) for row in reversed(kinds)]},
        hovertemplate="%{y}: %{x} rows<extra></extra>",
    )


def knowledge_bars(places: Sequence[KnowledgeRow]) -> Figure:
    """Return a bar chart of the kinds of answers at each level of trust in the row's prediction."""
    rows = list(reversed(places))
    kinds = dict.fromkeys(kind for place in places for kind in place.kinds)
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": label(kind),
            "x": [100 * row.kinds.get(kind, 0) / row.rows for row in rows],
            "y": [f"{label(row.name)} ({row.rows:,})" for row in rows],
            "text": [f"{row.kinds.get(kind, 0):,} rows" for row in rows],
            "textposition": "none",
            "marker": {
                "color": _colour(kind),
                "pattern": {"shape": _PATTERNS[_number(kind) % len(_PATTERNS)], "size": 6},
            },
            "hovertemplate": "%{y}: %{text}, %{x:.1f} %<extra>%{fullData.name}</extra>",
        }
        for kind in sorted(kinds, key=_number)
    ]
    height = 190 + 36 * len(rows)
    return figure(traces, x="% of these rows", y="", barmode="stack", height=height)


def expected_bars(kinds: Sequence[KindRow]) -> Figure:
    """Return a bar chart of mean expected and actual scores by kind of answer."""
    columns: dict[str, Callable[[KindRow], float | None]] = {
        "expected of the answers": lambda row: row.expected,
        "expected of the universal string": lambda row: row.universal,
        "actual, of the answers": lambda row: row.actual,
    }
    traces = []
    for number, (name, value) in enumerate(columns.items()):
        rows = [row for row in kinds if value(row) is not None]
        if rows:
            traces.append(
                {
                    "type": "bar",
                    "name": name,
                    "x": [label(row.kind) for row in rows],
                    "y": [value(row) for row in rows],
                    "marker": {"color": SERIES[number], "pattern": {"shape": _PATTERNS[number]}},
                    "hovertemplate": "%{x}: %{y:.4f}<extra>%{fullData.name}</extra>",
                }
            )
    return figure(traces, x="", y="mean SCS", barmode="group")


def trust_bars(trusts: Sequence[float]) -> Figure:
    """Return a histogram of trust, the probability that a row's LLM prediction is useful."""
    return histogram(trusts, x="trust in the row's prediction", y="rows", bins=20, span=(0.0, 1.0))


def gain_bars(gains: Sequence[Gain], over: str) -> Figure:
    """Return a histogram of the gains in score over another answer, named by ``over``."""
    return histogram([row.gain for row in gains], x=f"gain in SCS over {over}", y="rows")


def truth_points(outcomes: Sequence[Outcome]) -> Figure:
    """Return a scatter plot of actual over expected scores by kind of answer, with the diagonal."""
    judged = drawn(outcomes)
    traces = []
    for kind in sorted({row.answer.kind for row in judged}, key=_number):
        some = [row for row in judged if row.answer.kind == kind]
        symbol = SYMBOLS[_number(kind) % len(SYMBOLS)]
        traces.append(
            points(
                kind,
                [round(row.answer.expected or 0.0, 5) for row in some],
                [round(row.actual, 5) for row in some],
                "expected %{x:.3f}, actual %{y:.3f}<br>%{text}",
                {"size": 6, "color": _colour(kind), "symbol": symbol},
                text=[label(f"{row.answer.id}: {row.answer.text}"[:_SHOWN]) for row in some],
                opacity=0.7,
            )
        )
    values = [value for row in judged for value in (row.answer.expected or 0.0, row.actual)]
    return figure([*traces, _diagonal(values)], x="expected SCS", y="actual SCS", height=560)


def drawn(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the rows that are drawn as points: those with an expected score, thinned if many."""
    judged = [row for row in outcomes if row.answer.expected is not None]
    return judged[:: -(-len(judged) // _MOST_POINTS) or 1]


def calibration_line(bins: Sequence[CalibrationBin]) -> Figure:
    """Return a calibration plot: mean actual over mean expected score, by bins of rows."""
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "tenths of the rows, with 95 % intervals",
        "x": [row.expected for row in bins],
        "y": [row.actual for row in bins],
        "error_y": intervals(
            [row.actual for row in bins], [row.interval for row in bins], SERIES[0]
        ),
        "line": {"color": SERIES[0]},
        "marker": {"size": 8},
        "hovertemplate": "expected %{x:.4f}, actual %{y:.4f}<extra></extra>",
    }
    values = [value for row in bins for value in (row.expected, row.actual)]
    return figure([line, _diagonal(values)], x="mean expected SCS", y="mean actual SCS")


def methods_bars(methods: Sequence[MethodScore]) -> Figure:
    """Return a bar chart of the mean scores of ways of answering, with 95 % intervals."""
    rows = list(reversed(methods))
    return bars(
        [row.name for row in methods],
        [row.mean for row in methods],
        x="mean actual SCS",
        row_height=36,
        error_x=intervals([row.mean for row in rows], [row.interval for row in rows], INK),
        marker={"color": [SERIES[0 if row.name == "hybrid" else 5] for row in rows]},
        hovertemplate="%{y}: %{x:.4f}<extra></extra>",
    )


def _diagonal(values: Sequence[float]) -> Trace:
    ends = [min(values), max(values)]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "as expected",
        "x": ends,
        "y": ends,
        "line": {"color": INK, "width": 1, "dash": "dash"},
        "hoverinfo": "skip",
    }


def _number(kind: str) -> int:
    return _KINDS.index(kind) if kind in _KINDS else len(_KINDS)


def _colour(kind: str) -> str:
    colours = (*SERIES, INK)
    return colours[_number(kind) % len(colours)]
