"""The map of the corpus as Plotly draws it: data without a line of drawing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mean_prompt.report.analysis.data import Map
from mean_prompt.report.page.figures import SERIES, SYMBOLS
from mean_prompt.report.page.search_figures import cluster_name

#: Words that name a cluster in the legend.
_NAMED: Final = 3


def map_figure(corpus: Map, names: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return the traces of a map, and what the page says of it.

    Args:
        corpus: the map.
        names: words that tell each cluster from the rest.
    """
    traces = [_cluster(corpus, number, words) for number, words in enumerate(names)]
    landmarks = [
        _landmark("mean of the corpus", corpus.mean, "cross"),
        _landmark("direction of the ceiling", corpus.ceiling, "star"),
    ]
    shown = [trace for trace in traces if trace["x"]]
    return {
        "traces": [*shown, *landmarks],
        "explained": corpus.explained,
        "prompts": len(corpus.x),
    }


def _cluster(corpus: Map, number: int, words: Sequence[str]) -> dict[str, Any]:
    rows = [row for row, cluster in enumerate(corpus.clusters) if cluster == number]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": cluster_name(words[:_NAMED], number),
        "x": [corpus.x[row] for row in rows],
        "y": [corpus.y[row] for row in rows],
        "text": [corpus.prompts[row] for row in rows],
        "marker": {
            "color": SERIES[number % len(SERIES)],
            "symbol": SYMBOLS[(number // len(SERIES) + number) % len(SYMBOLS)],
            "size": 5,
            "opacity": 0.55,
        },
    }


def _landmark(name: str, place: tuple[float, float], symbol: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [place[0]],
        "y": [place[1]],
        "text": [name],
        "marker": {"symbol": symbol, "size": 14},
        "landmark": True,
    }
