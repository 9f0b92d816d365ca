"""A histogram of numbers, with a line at none and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import plotly.graph_objects as go

from mean_prompt.report.page.figures import INK, SERIES, Figure, finished

_BINS: Final = 40
#: Width of what is drawn where all numbers are equal.
_LEAST_RANGE: Final = 1e-3


def histogram(
    values: Sequence[float],
    *,
    x: str,
    y: str,
    bins: int = _BINS,
    span: tuple[float, float] | None = None,
) -> Figure:
    """Return how numbers are distributed.

    Args:
        values: at least one.
        x: title of the axis of numbers.
        y: what is counted.
        bins: how many.
        span: that they cover; from the least number to the greatest when left out.
    """
    low, high = span or (min(values), max(values))
    counts, edges = np.histogram(values, bins=bins, range=(low, max(high, low + _LEAST_RANGE)))
    hover = "about %{x:.3f}: %{y} " + y
    return bars(edges.tolist(), counts.tolist(), float(np.mean(values)), hover=hover, x=x, y=y)


def bars(
    edges: Sequence[float], heights: Sequence[float], mean: float, *, hover: str, x: str, y: str
) -> Figure:
    """Return bars between edges, with a line at the mean.

    Args:
        edges: B + 1 rising numbers, equally far apart.
        heights: B.
        mean: of what is distributed.
        hover: what a bar says, in Plotly's notation.
        x: title of the axis of numbers.
        y: what is counted.
    """
    middles = [round((low + high) / 2, 6) for low, high in pairwise(edges)]
    figure = go.Figure(
        go.Bar(
            x=middles,
            y=list(heights),
            width=0.9 * (edges[1] - edges[0]),
            marker={"color": SERIES[0]},
            hovertemplate=f"{hover}<extra></extra>",
        )
    )
    figure.add_vline(
        x=mean,
        line={"color": INK, "dash": "dash"},
        annotation={"text": f"mean {mean:.3f}", "font": {"color": INK}},
    )
    return finished(figure, x=x, y=y, showlegend=False)
