"""Formatting any value or text so that it fits on one line of a message."""

from __future__ import annotations

from typing import Final

from mean_prompt.system.secrets import masked_urls

#: Characters of a value's preview.
_MOST: Final = 80


def preview(value: object) -> str:
    """Return the ``repr`` of a value on one line, cut to at most 80 characters."""
    try:
        text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or nested lists
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= _MOST else f"{text[: _MOST - 3]}..."


def preview_name(name: str) -> str:
    """Return a name unchanged, or its :func:`preview` if it is long or not printable."""
    is_plain = name.isprintable() and name == name.strip() and 0 < len(name) <= _MOST
    return name if is_plain else preview(name)


def one_line(text: str) -> str:
    """Return a text on one line, secrets in its URLs masked and control characters escaped.

    A file's name may hold characters that move the cursor, or bytes that are no text.
    """
    line = masked_urls(" ".join(text.splitlines()))
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
