"""What the explorer shows, as HTML. Every text is escaped, and isolated in its element."""

from __future__ import annotations

import json
from typing import Any, Final

from mean_prompt.report.analysis.data import Advice, StringAnalysis, TokenWorth
from mean_prompt.report.page.page import fragment

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
    """Return the suggestions for a string, a button each, or that they are being looked for."""
    if advice is None:
        return fragment("waiting.html", column=column)
    return fragment("advice.html", column=column, advice=advice, is_blank=not advice.text.strip())


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
