"""Values of any kind and size, as messages show them."""

from __future__ import annotations

from typing import Final

#: Characters of a value that are shown.
_MOST: Final = 80


def shown(value: object) -> str:
    """Return a value as a message shows it: on one line, and cut where it is long."""
    try:
        text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or a nest of lists
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= _MOST else f"{text[: _MOST - 3]}..."
