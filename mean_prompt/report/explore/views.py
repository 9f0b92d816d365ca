"""Render the explorer's analyses and suggestions as HTML; every text is escaped."""

from __future__ import annotations

import json
from typing import Any, Final

from mean_prompt.report.analysis.data import Advice, StringAnalysis, TokenWorth
from mean_prompt.report.page.page import fragment

#: Opacity of the shade behind the token that contributes most.
_STRONGEST: Final = 0.55
#: Visible signs for control characters.
_UNSEEN: Final = {"\n": "⏎", "\t": "⇥", "\r": "␍"}


def look_view(
    column: str, look: StringAnalysis, *, limit: int, fault: str | None, whole: bool
) -> str:
    """Return the analysis of a string as HTML.

    Args:
        column: letter of the string's column.
        look: the analysis.
        limit: most tokens that the run allows.
        fault: which of the run's rules the string breaks, or ``None``.
        whole: whether the contributions of the string's tokens are computed.
    """
    return fragment(
        "look.html",
        column=column,
        look=look,
        limit=limit,
        fault=fault,
        whole=whole,
        place=json.dumps(look.place),
        tokens=_tokens(look.worths),
    )


def advice_view(column: str, advice: Advice | None) -> str:
    """Return suggested edits as HTML buttons, or a waiting message if they are not computed yet."""
    if advice is None:
        return fragment("waiting.html", column=column)
    return fragment("advice.html", column=column, advice=advice, is_blank=not advice.text.strip())


def _tokens(worths: tuple[TokenWorth, ...]) -> list[dict[str, Any]]:
    """Return each token with a shade in proportion to its contribution to the score."""
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
