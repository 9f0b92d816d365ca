"""A histogram of numbers, with a line at none and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from mean_prompt.report.figures import INK, SERIES, Figure, finished

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
    middles, width = (edges[1:] + edges[:-1]) / 2, float(edges[1] - edges[0])
    figure = go.Figure(
        go.Bar(
            x=np.round(middles, 6).tolist(),
            y=counts.tolist(),
            width=0.9 * width,
            marker={"color": SERIES[0]},
            hovertemplate="about %{x:.3f}: %{y} " + y + "<extra></extra>",
        )
    )
    mean = float(np.mean(values))
    figure.add_vline(
        x=mean,
        line={"color": INK, "dash": "dash"},
        annotation={"text": f"mean {mean:.3f}", "font": {"color": INK}},
    )
    return finished(figure, x=x, y=y, showlegend=False)
