"""The figures of a search: how it went, whom its string serves, where it lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import plotly.graph_objects as go

from mean_prompt.report.analysis.data import Analysis, Spread
from mean_prompt.report.page.figures import (
    DASHES,
    INK,
    PAPER,
    SERIES,
    SYMBOLS,
    Figure,
    finished,
    label,
    level,
    step_line,
)
from mean_prompt.report.page.histogram import bars
from mean_prompt.report.page.history import Climb, History, Improvement, Point

#: Climbs that are drawn: more could not be told apart.
MOST_CLIMBS: Final = 24
#: Improvements that the best line goes through; others lie on a pixel of their neighbours.
_MOST_POINTS: Final = 2_000

Axis = Callable[[Point], float]


def over_time(history: History) -> Figure:
    """Return the best score and each climb's over the run's seconds."""
    return _progress(history, lambda point: point.seconds, "seconds")


def over_evaluations(history: History) -> Figure:
    """Return the same over the strings that were encoded."""
    return _progress(history, lambda point: point.evaluations, "strings encoded")


def drawn_climbs(history: History) -> list[Climb]:
    """Return the climbs that are drawn: all, or the best of many, in their order."""
    climbs = history.climbs
    best = sorted(range(len(climbs)), key=lambda row: -climbs[row].fraction)[:MOST_CLIMBS]
    return [climbs[row] for row in sorted(best)]


def spread_bars(spread: Spread) -> Figure:
    """Return a string's cosines with the prompts as a histogram."""
    return bars(
        spread.edges,
        [100 * share for share in spread.shares],
        spread.mean,
        hover="cosine %{x:.3f}: %{y:.2f} % of the corpus",
        x="cosine with a prompt",
        y="% of the corpus",
    )


def corpus_map(analysis: Analysis) -> Figure:
    """Return the corpus in two dimensions by clusters, with string, mean and ceiling on it."""
    figure, drawn = go.Figure(), analysis.map
    for number, cluster in enumerate(analysis.clusters):
        rows = [row for row, member in enumerate(drawn.clusters) if member == number]
        figure.add_trace(
            go.Scatter(
                name=label(cluster_name(cluster.words, number)),
                x=[drawn.x[row] for row in rows],
                y=[drawn.y[row] for row in rows],
                text=[label(drawn.prompts[row]) for row in rows],
                mode="markers",
                opacity=0.6,
                marker={
                    "size": 5,
                    "color": SERIES[number % len(SERIES)],
                    "symbol": SYMBOLS[(number // len(SERIES) + number) % len(SYMBOLS)],
                },
                hovertemplate="%{text}<extra></extra>",
            )
        )
    places = {
        "the string": (analysis.look.place, "diamond"),
        "mean of the corpus": (drawn.mean, "cross"),
        "direction of the ceiling": (drawn.ceiling, "star"),
    }
    for name, ((x, y), symbol) in places.items():
        figure.add_trace(
            go.Scatter(
                name=name,
                x=[x],
                y=[y],
                mode="markers",
                marker={
                    "size": 15,
                    "symbol": symbol,
                    "color": INK,
                    "line": {"width": 2, "color": PAPER},
                },
                hovertemplate=f"{name}<extra></extra>",
            )
        )
    return finished(figure, x="first principal component", y="second", height=560)


def moves_bars(gains: Sequence[tuple[str, int, float]]) -> Figure:
    """Return what each move gained, the largest on top."""
    rows = list(reversed(gains))
    figure = go.Figure(
        go.Bar(
            x=[gain for _, _, gain in rows],
            y=[label(move) for move, _, _ in rows],
            orientation="h",
            marker={"color": SERIES[0]},
            text=[f"{count} times" for _, count, _ in rows],
            textposition="auto",
            hovertemplate="%{y}: %{x:.5f}<extra></extra>",
        )
    )
    height = 110 + 32 * len(rows)
    return finished(figure, x="gain in score, in all", y="", showlegend=False, height=height)


def climbs_by_setting(climbs: Sequence[Climb], name: str, title: str) -> Figure:
    """Return each climb's fraction by one of its settings, a marker a kind of start."""
    figure = go.Figure()
    drawn = [climb for climb in climbs if name in climb.params]
    for number, start in enumerate(sorted({climb.start for climb in drawn})):
        of_kind = [climb for climb in drawn if climb.start == start]
        figure.add_trace(
            go.Scatter(
                name=label(start),
                x=[climb.params[name] for climb in of_kind],
                y=[climb.fraction for climb in of_kind],
                text=[label(climb.name) for climb in of_kind],
                mode="markers",
                marker={"size": 9, "color": SERIES[number], "symbol": SYMBOLS[number]},
                hovertemplate="%{text}: %{y:.4f} at %{x}<extra></extra>",
            )
        )
    return finished(figure, x=title, y="fraction of the ceiling")


def cluster_name(words: Sequence[str], number: int) -> str:
    """Return what a cluster is called: its words, or its number where it has none."""
    return ", ".join(words) or f"cluster {number + 1}"


def _progress(history: History, axis: Axis, title: str) -> Figure:
    figure = go.Figure()
    for number, climb in enumerate(drawn_climbs(history)):
        figure.add_trace(_climb_line(climb, number, axis))
    rows = _thinned(history)
    if rows and history.last is not None:
        points = [row.point for row in rows]
        end = Point(*history.last, points[-1].score, points[-1].fraction)
        line = [*points, end]
        texts = [*(row.text for row in rows), rows[-1].text]
        x, y = [axis(point) for point in line], [point.fraction for point in line]
        figure.add_trace(step_line("best so far", x, y, SERIES[0], texts))
    level(figure, 1.0, "ceiling")
    return finished(figure, x=title, y="fraction of the ceiling")


def _climb_line(climb: Climb, number: int, axis: Axis) -> go.Scatter:
    return go.Scatter(
        name=label(f"{climb.name} ({climb.start})"),
        x=[axis(point) for point in climb.points],
        y=[point.fraction for point in climb.points],
        mode="lines+markers",
        line={
            "width": 1.5,
            "color": SERIES[1 + number % (len(SERIES) - 1)],
            "dash": DASHES[number % len(DASHES)],
        },
        marker={"size": 5, "symbol": SYMBOLS[number % len(SYMBOLS)]},
        hovertemplate=f"{label(climb.name)}: %{{y:.4f}} at %{{x}}<extra></extra>",
    )


def _thinned(history: History) -> list[Improvement]:
    rows = list(history.improvements)
    step = -(-len(rows) // _MOST_POINTS) or 1
    return [*rows[:-1:step], *rows[-1:]]
