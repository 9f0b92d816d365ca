"""Bytes, as people read them."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("bytes", "kB", "MB", "GB")


def bytes_shown(count: float) -> str:
    """Return a number of bytes in the unit that leaves three digits: ``36.4 MB``."""
    for unit in _UNITS:
        if abs(count) < 999.5 or unit == _UNITS[-1]:
            break
        count /= 1000
    return f"{count:.3g} {unit}" if count < 999.5 else f"{count:,.0f} {unit}"
