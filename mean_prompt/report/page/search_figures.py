"""Plotly figures of a search: progress, cosines with the prompts, map of the corpus, settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mean_prompt.report.analysis.data import Analysis, CorpusMap, CosineSpread
from mean_prompt.report.page.figures import (
    DASHES,
    INK,
    PAPER,
    SERIES,
    SYMBOLS,
    Figure,
    Trace,
    add_line,
    bars,
    distribution,
    figure,
    label,
    points,
)
from mean_prompt.report.page.history import ClimbHistory, History, Improvement, ProgressPoint

#: Most climbs (local searches from one start) that are drawn; a reader could not distinguish more.
MOST_CLIMBS: Final = 24
#: Most improvements that the line of the best score is drawn through; more would share pixels.
_MOST_POINTS: Final = 2_000


def progress_lines(history: History) -> Figure:
    """Return a line chart of the best score and each climb's (local search's) over the search.

    The figure has data for both axes; the page's script draws the one that the reader chose.
    """
    lines = [(_climb_line(climb, n), climb.points) for n, climb in enumerate(drawn_climbs(history))]
    rows = _thinned(history.improvements)
    if rows and history.last is not None:
        points = [row.point for row in rows]
        end = ProgressPoint(*history.last, points[-1].score, points[-1].fraction)
        best = {
            "name": "best so far",
            "mode": "lines",
            "line": {"shape": "hv", "width": 3, "color": SERIES[0]},
            "text": [label(row.text) for row in (*rows, rows[-1])],
            "hovertemplate": "%{y:.4f} at %{x}<br>%{text}<extra></extra>",
        }
        lines.append((best, (*points, end)))
    traces = [
        {"type": "scatter", "y": [point.fraction for point in points], **line}
        for line, points in lines
    ]
    found = figure(traces, x="", y="fraction of the ceiling")
    add_line(found, "y", 1.0, "ceiling")
    found["axes"] = {
        "evaluations": {
            "title": "strings encoded",
            "x": [[point.evaluations for point in points] for _, points in lines],
        },
        "seconds": {
            "title": "seconds",
            "x": [[point.seconds for point in points] for _, points in lines],
        },
    }
    return found


def drawn_climbs(history: History) -> list[ClimbHistory]:
    """Return the best climbs (local searches) of a search, as many as are drawn, in their order."""
    climbs = history.climbs
    best = sorted(range(len(climbs)), key=lambda row: -climbs[row].fraction)[:MOST_CLIMBS]
    return [climbs[row] for row in sorted(best)]


def cosine_bars(spread: CosineSpread) -> Figure:
    """Return a histogram figure of a string's cosines with the prompts of the corpus."""
    return distribution(
        spread.edges,
        [100 * share for share in spread.shares],
        spread.mean,
        "cosine %{x:.3f}: %{y:.2f} % of the corpus",
        x="cosine with a prompt",
        y="% of the corpus",
    )


def map_figure(analysis: Analysis) -> Figure:
    """Return a scatter plot of the corpus by cluster, with string, mean and best vector marked."""
    words = [cluster.words for cluster in analysis.clusters]
    landmarks = [
        ("the string", analysis.look.place, "diamond"),
        ("mean of the corpus", analysis.map.mean, "cross"),
        ("direction of the ceiling", analysis.map.ceiling, "star"),
    ]
    marker: Trace = {"size": 15, "color": INK, "line": {"width": 2, "color": PAPER}}
    places = [
        points(name, [x], [y], name, {**marker, "symbol": symbol})
        for name, (x, y), symbol in landmarks
    ]
    traces = [*map_clusters(analysis.map, words), *places]
    return figure(traces, x="first principal component", y="second", height=560)


def map_clusters(corpus: CorpusMap, words: Sequence[Sequence[str]]) -> list[Trace]:
    """Return one scatter trace per cluster of a map's prompts, named by the cluster's ``words``."""
    traces = []
    for number, named in enumerate(words):
        rows = [row for row, cluster in enumerate(corpus.clusters) if cluster == number]
        marker = {
            "size": 5,
            "color": SERIES[number % len(SERIES)],
            "symbol": SYMBOLS[(number // len(SERIES) + number) % len(SYMBOLS)],
        }
        traces.append(
            points(
                cluster_name(named, number),
                [corpus.x[row] for row in rows],
                [corpus.y[row] for row in rows],
                "%{text}",
                marker,
                text=[label(corpus.prompts[row]) for row in rows],
                opacity=0.6,
            )
        )
    return traces


def cluster_name(words: Sequence[str], number: int) -> str:
    """Return the name of a cluster of prompts: its words, or its number if it has none."""
    return ", ".join(words) or f"cluster {number + 1}"


def moves_bars(gains: Sequence[tuple[str, int, float]]) -> Figure:
    """Return a bar chart of the total gain of each kind of edit, the largest on top."""
    return bars(
        [move for move, _, _ in gains],
        [gain for _, _, gain in gains],
        x="gain in score, in all",
        text=[f"{count} times" for _, count, _ in reversed(gains)],
        textposition="auto",
        hovertemplate="%{y}: %{x:.5f}<extra></extra>",
    )


def climbs_by_setting(climbs: Sequence[ClimbHistory], name: str, title: str) -> Figure:
    """Return a scatter plot of climbs' (local searches') scores over one of their settings."""
    drawn = [climb for climb in climbs if name in climb.params]
    traces = []
    for number, start in enumerate(sorted({climb.start for climb in drawn})):
        of_kind = [climb for climb in drawn if climb.start == start]
        traces.append(
            points(
                start,
                [climb.params[name] for climb in of_kind],
                [climb.fraction for climb in of_kind],
                "%{text}: %{y:.4f} at %{x}",
                {"size": 9, "color": SERIES[number], "symbol": SYMBOLS[number]},
                text=[label(climb.name) for climb in of_kind],
            )
        )
    return figure(traces, x=title, y="fraction of the ceiling")


def _climb_line(climb: ClimbHistory, number: int) -> Trace:
    return {
        "name": label(f"{climb.name} ({climb.start})"),
        "mode": "lines+markers",
        "line": {
            "width": 1.5,
            "color": SERIES[1 + number % (len(SERIES) - 1)],
            "dash": DASHES[number % len(DASHES)],
        },
        "marker": {"size": 5, "symbol": SYMBOLS[number % len(SYMBOLS)]},
        "hovertemplate": f"{label(climb.name)}: %{{y:.4f}} at %{{x}}<extra></extra>",
    }


def _thinned(rows: Sequence[Improvement]) -> list[Improvement]:
    step = -(-len(rows) // _MOST_POINTS) or 1
    return [*rows[:-1:step], *rows[-1:]]
