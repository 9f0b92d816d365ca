"""Escape texts for Markdown and HTML, so that they are shown literally and never interpreted."""

from __future__ import annotations

import re
from html import escape


def escaped(text: str) -> str:
    """Return a text escaped for HTML, or for Markdown, which may contain HTML, on one line."""
    return escape(" ".join(text.splitlines()))


def code_span(text: str) -> str:
    """Return a text as an inline code span of Markdown, in which HTML has no effect."""
    line = " ".join(text.splitlines())
    # Code ends at as many backticks as it began with.
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{line}{pad}{fence}"
