"""The map of the corpus as Plotly draws it: data without a line of drawing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mean_prompt.analysis.data import Map

#: Colours of clusters that people with any colour vision tell apart, and shapes beside them; after
#: Okabe and Ito (2008). They stand out from white and from near black.
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56a0d3")
_SHAPES: Final = ("circle", "square", "diamond")
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
        "name": ", ".join(words[:_NAMED]) or f"cluster {number + 1}",
        "x": [corpus.x[row] for row in rows],
        "y": [corpus.y[row] for row in rows],
        "text": [corpus.prompts[row] for row in rows],
        "marker": {
            "color": _COLOURS[number % len(_COLOURS)],
            "symbol": _SHAPES[number // len(_COLOURS) % len(_SHAPES)],
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
