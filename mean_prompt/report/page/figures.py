"""Build Plotly figures as plain dictionaries, with the colours, markers and axes that all share.

Colours are those of a light page; in dark mode the page's script replaces them. The palette follows
Okabe and Ito's, which most colour-blind readers can distinguish; lines and markers differ in shape
as well. Nothing here imports Plotly, which takes half a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from mean_prompt.objective import Interval

#: Colours of series, of lines across a figure, and of its background; and those in dark mode.
SERIES: Final = ("#0072B2", "#D55E00", "#00805D", "#AA4499", "#B8860B", "#3399CC", "#666666")
INK: Final = "#1B1F24"
PAPER: Final = "#FFFFFF"
_DARK: Final = ("#4DA3E0", "#FF8A47", "#2BC79A", "#E59AC4", "#F0B429", "#8FD0F5", "#AAAAAA")
PALETTE: Final = dict(zip((*SERIES, INK, PAPER), (*_DARK, "#E6EDF3", "#14181D"), strict=True))
SYMBOLS: Final = ("circle", "square", "triangle-up", "diamond", "cross", "x", "star-triangle-down")
DASHES: Final = ("solid", "dot", "dash", "dashdot", "longdash")
#: Most characters on a line of a label.
_LINE: Final = 60
#: Bars of a histogram, and the least range that they cover if all numbers are equal.
_BINS: Final = 40
_LEAST_RANGE: Final = 1e-3

Figure = dict[str, Any]
Trace = dict[str, Any]


def figure(
    traces: Sequence[Trace], *, x: str, y: str, height: int = 400, **layout: object
) -> Figure:
    """Return a Plotly figure of ``traces``, with ``x`` and ``y`` as the titles of its axes."""
    shared = {
        "xaxis": {"title": {"text": x}},
        "yaxis": {"title": {"text": y}},
        "height": height,
        "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
        "legend": {"orientation": "h", "y": -0.28, "yanchor": "top"},
        "hoverlabel": {"align": "left"},
        # A reader's zoom stays when new data arrive.
        "uirevision": "kept",
    }
    return {"data": list(traces), "layout": shared | layout}


def points(
    name: str, x: Sequence[float], y: Sequence[float], hover: str, marker: Trace, **trace: object
) -> Trace:
    """Return a scatter trace of markers; ``hover`` is a Plotly template of the tooltip."""
    shape = {"type": "scatter", "mode": "markers", "name": label(name), "x": x, "y": y}
    return {**shape, "marker": marker, "hovertemplate": f"{hover}<extra></extra>", **trace}


def bars(
    names: Sequence[str], values: Sequence[float], *, x: str, row_height: int = 32, **trace: object
) -> Figure:
    """Return a figure of horizontal bars with names, the first bar on top."""
    bar = {
        "type": "bar",
        "orientation": "h",
        "x": list(reversed(values)),
        "y": [label(name) for name in reversed(names)],
        "marker": {"color": SERIES[0]},
        "hovertemplate": "%{y}: %{x}<extra></extra>",
    }
    height = 110 + row_height * len(names)
    return figure([bar | trace], x=x, y="", showlegend=False, height=height)


def histogram(
    values: Sequence[float],
    *,
    x: str,
    y: str,
    bins: int = _BINS,
    span: tuple[float, float] | None = None,
) -> Figure:
    """Return a histogram figure of at least one number.

    The bars cover ``span``, or the range from the least number to the greatest.
    """
    low, high = span or (min(values), max(values))
    counts, edges = np.histogram(values, bins=bins, range=(low, max(high, low + _LEAST_RANGE)))
    hover = "about %{x:.3f}: %{y} " + y
    return distribution(edges.tolist(), counts.tolist(), float(np.mean(values)), hover, x=x, y=y)


def distribution(
    edges: Sequence[float], heights: Sequence[float], mean: float, hover: str, *, x: str, y: str
) -> Figure:
    """Return a histogram figure of bins that are already counted, with a line at the mean.

    Args:
        edges: the B + 1 rising edges of the bins, equally far apart.
        heights: the B heights of the bars.
        mean: mean of the numbers that were counted.
        hover: the text at a bar, a Plotly template.
        x: title of the axis of numbers.
        y: title of the axis of heights.
    """
    bar = {
        "type": "bar",
        "x": [round((low + high) / 2, 6) for low, high in pairwise(edges)],
        "y": list(heights),
        "width": 0.9 * (edges[1] - edges[0]),
        "marker": {"color": SERIES[0]},
        "hovertemplate": f"{hover}<extra></extra>",
    }
    found = figure([bar], x=x, y=y, showlegend=False)
    add_line(found, "x", mean, f"mean {mean:.3f}")
    return found


def intervals(means: Sequence[float], found: Sequence[Interval], colour: str) -> dict[str, Any]:
    """Return error bars that show intervals around means, as a field of a Plotly trace."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [row.high - mean for row, mean in zip(found, means, strict=True)],
        "arrayminus": [mean - row.low for row, mean in zip(found, means, strict=True)],
        "color": colour,
    }


def add_line(found: Figure, axis: str, value: float, name: str) -> None:
    """Add a named line across a figure at a value of its x or y axis."""
    other = "y" if axis == "x" else "x"
    line = {"color": INK, "width": 1, "dash": "dash"}
    across = {f"{other}ref": f"{other} domain", f"{axis}ref": axis}
    ends = {f"{other}0": 0, f"{other}1": 1, f"{axis}0": value, f"{axis}1": value}
    found["layout"]["shapes"] = [{"type": "line", **across, **ends, "line": line}]
    note = {axis: value, other: 1, "text": escape(name), "font": {"color": INK}}
    anchors = {"xanchor": "left" if axis == "x" else "right", "yanchor": "bottom"}
    if axis == "x":
        anchors["yanchor"] = "top"
    found["layout"]["annotations"] = [{**across, **note, **anchors, "showarrow": False}]


def label(text: str) -> str:
    """Return a text as a Plotly label: broken into lines, with HTML tags escaped."""
    lines = [text[i : i + _LINE] for i in range(0, len(text), _LINE)]
    return "<br>".join(escape(line.replace("\n", " ").replace("\r", " ")) for line in lines)
