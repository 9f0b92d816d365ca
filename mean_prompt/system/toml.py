"""TOML as untrusted input: of bounded size, and of values that can be used and written again."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mean_prompt.system.errors import InputError
from mean_prompt.system.text import preview

#: Bytes of a file: a thousand times what people write.
_LARGEST: Final = 2**20


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: of the file; one that never ends is read no further than the limit.
        what: it is, for messages, such as ``a recipe``.

    Raises:
        InputError: it cannot be read, is too large, or is no TOML in UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"{what} must be readable: {path}: {error.strerror}") from error
    if len(content) > _LARGEST:
        raise InputError(
            f"{what} must have at most {_LARGEST:,} bytes: {path} has more; give another file"
        )
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except RecursionError as error:
        raise InputError(
            f"{what} must be TOML: {path}: brackets are nested too deeply; mend that line"
        ) from error
    # A ValueError that is no TOMLDecodeError comes of a number with thousands of digits.
    except ValueError as error:
        raise InputError(f"{what} must be TOML: {path}: {error}; mend that line") from error


def check_plain(data: dict[str, Any], where: str) -> None:
    """Refuse values that no field can use, wherever they stand.

    TOML promises integers of 64 bits; numbers that are not finite pass every comparison with a
    bound or none; and text that is not Unicode, as a command line may hold it, cannot be written.

    Args:
        data: as parsed.
        where: it is from, for messages.

    Raises:
        InputError: there is one; the message names its place.
    """
    for place, value in _leaves(data):
        reason = _fault(value)
        if reason:
            raise InputError(f"{place} in {where} is not valid: {reason}, found {preview(value)}")


def _leaves(data: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield all values with their places, without recursion: they may be nested deeply."""
    pending: list[tuple[tuple[str, ...], object]] = [((), data)]
    while pending:
        place, value = pending.pop()
        if isinstance(value, dict):
            pending += [((*place[:3], str(key)), inner) for key, inner in value.items()]
        elif isinstance(value, (list, tuple)):
            pending += [((*place[:3], str(key)), inner) for key, inner in enumerate(value)]
        else:
            yield ".".join(place), value


def _fault(value: object) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "a number must be finite"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "an integer must fit into 64 bits"
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return "a text must be Unicode"
    return None
