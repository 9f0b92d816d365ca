"""Parsing and formatting durations such as ``90s``, ``10m``, ``2h`` and ``1h30m``."""

from __future__ import annotations

import re
from typing import Final

from mean_prompt.system.errors import InputError
from mean_prompt.system.text import preview

_SECONDS: Final = {"h": 3600, "m": 60, "s": 1}
#: The longest duration that :func:`format_duration` can write so that it can be read back.
_LONGEST: Final = 999_999 * 3600
_DURATION: Final = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,7})s)?", re.ASCII)


def parse_duration(text: str) -> float:
    """Parse a duration such as ``1h30m`` and return it in seconds.

    Raises:
        InputError: the text is no duration, or it is zero or longer than 999999h.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if not match or not any(match.groups()):
        raise InputError(f"a duration reads like 90s, 10m, 2h or 1h30m: found {preview(text)}")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if not total:
        raise InputError(f"a duration must be longer than nothing: found {preview(text)}")
    if total > _LONGEST:
        raise InputError(f"a duration must be at most 999999h: found {preview(text)}")
    return float(total)


def format_duration(seconds: float) -> str:
    """Format seconds as :func:`parse_duration` reads them, rounded to whole ones: ``1h30m``."""
    left = max(0, round(seconds))
    parts = []
    for unit, size in _SECONDS.items():
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
