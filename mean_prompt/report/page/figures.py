"""The figures of a page, as Plotly knows them; their colours are the page's, light or dark.

Colours are those of a light page; in the dark the page's script puts others in their places. The
palette follows Okabe and Ito's, which most colour-blind readers tell apart; lines and markers
differ in shape as well.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any, Final

import plotly.graph_objects as go

#: Colours of series, of lines across a figure, and of its ground; and those in the dark.
SERIES: Final = ("#0072B2", "#D55E00", "#00805D", "#AA4499", "#B8860B", "#3399CC", "#666666")
INK: Final = "#1B1F24"
PAPER: Final = "#FFFFFF"
_DARK: Final = ("#4DA3E0", "#FF8A47", "#2BC79A", "#E59AC4", "#F0B429", "#8FD0F5", "#AAAAAA")
PALETTE: Final = dict(zip((*SERIES, INK, PAPER), (*_DARK, "#E6EDF3", "#14181D"), strict=True))
SYMBOLS: Final = ("circle", "square", "triangle-up", "diamond", "cross", "x", "star-triangle-down")
DASHES: Final = ("solid", "dot", "dash", "dashdot", "longdash")
#: Characters on a line of a label.
_LINE: Final = 60

Figure = dict[str, Any]


def finished(figure: go.Figure, *, x: str, y: str, height: int = 400, **layout: object) -> Figure:
    """Return a figure as plain data, with titles of its axes and room for nothing else."""
    figure.update_layout(
        template=None,
        xaxis_title=x,
        yaxis_title=y,
        height=height,
        margin={"l": 56, "r": 16, "t": 16, "b": 48},
        legend={"orientation": "h", "y": -0.28, "yanchor": "top"},
        hoverlabel={"align": "left"},
        # What a reader zoomed into stays when new data come.
        uirevision="kept",
        **layout,
    )
    data: Figure = json.loads(figure.to_json())
    return data


def label(text: str) -> str:
    """Return a text as a label of a figure, which reads tags: broken into lines, and harmless."""
    lines = [text[i : i + _LINE] for i in range(0, len(text), _LINE)]
    return "<br>".join(escape(line.replace("\n", " ").replace("\r", " ")) for line in lines)


def step_line(
    name: str, x: Sequence[float], y: Sequence[float], colour: str, texts: Sequence[str]
) -> go.Scatter:
    """Return a line that stays where it is until the next point."""
    return go.Scatter(
        name=name,
        x=list(x),
        y=list(y),
        mode="lines",
        line={"shape": "hv", "width": 3, "color": colour},
        text=[label(text) for text in texts],
        hovertemplate="%{y:.4f} at %{x}<br>%{text}<extra></extra>",
    )


def level(figure: go.Figure, y: float, name: str) -> None:
    """Draw a horizontal line with its name."""
    figure.add_hline(
        y=y,
        line={"color": INK, "width": 1, "dash": "dash"},
        annotation={"text": escape(name), "font": {"color": INK}},
    )
