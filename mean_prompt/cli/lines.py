"""Messages as one line on a terminal, whatever the names and texts in them hold."""

from __future__ import annotations

from mean_prompt.system import masked_urls


def shown_line(text: str) -> str:
    """Return a text on one line, without secrets in URLs, control characters spelt out.

    A file's name may hold what would move the cursor, or is no text at all.
    """
    line = masked_urls(" ".join(text.splitlines()))
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
