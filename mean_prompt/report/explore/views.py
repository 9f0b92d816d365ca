"""What the explorer shows, as HTML. Every text is escaped, and isolated in its element."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

import jinja2

from mean_prompt.report.analysis.data import Advice, StringAnalysis, TokenWorth

#: Darkest shade behind a token.
_STRONGEST: Final = 0.55
#: Signs for characters that do not show.
_UNSEEN: Final = {"\n": "⏎", "\t": "⇥", "\r": "␍"}


def look_view(
    column: str, look: StringAnalysis, *, limit: int, fault: str | None, whole: bool
) -> str:
    """Return the analysis of a string.

    Args:
        column: letter of its column.
        look: the analysis.
        limit: most tokens that the run allows.
        fault: which rule of the run it breaks, if any.
        whole: whether its tokens' worths are known.
    """
    return _render(
        "look.html",
        column=column,
        look=look,
        limit=limit,
        fault=fault,
        whole=whole,
        place=json.dumps(look.place),
        tokens=_tokens(look.worths),
    )


def blank_view(column: str) -> str:
    """Return what a column shows if nothing is typed."""
    return _render("blank.html", column=column)


def advice_view(column: str, advice: Advice) -> str:
    """Return the suggestions for a string, a button each."""
    return _render("advice.html", column=column, advice=advice, is_blank=not advice.text.strip())


def waiting_view(column: str) -> str:
    """Return what a column shows until suggestions are found."""
    return _render("waiting.html", column=column)


def about_view(facts: dict[str, Any]) -> str:
    """Return the head of the page."""
    return _render("about.html", **facts)


def _tokens(worths: tuple[TokenWorth, ...]) -> list[dict[str, Any]]:
    """Return each token with its shade, relative to the largest worth."""
    most = max((abs(row.worth) for row in worths), default=0.0) or 1.0
    return [
        {
            "piece": row.piece,
            "shown": "".join(_UNSEEN.get(c, c) for c in row.piece),
            "worth": row.worth,
            "kind": "harm" if row.worth < 0 else "help",
            "shade": round(_STRONGEST * abs(row.worth) / most, 3),
        }
        for row in worths
    ]


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("mean_prompt.report.explore"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def _render(template: str, **values: Any) -> str:  # noqa: ANN401 - what templates take
    return _environment().get_template(template).render(**values)
