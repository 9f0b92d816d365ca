"""Reading TOML files as untrusted input: size, syntax and values are checked."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mean_prompt.system.errors import InputError, os_errors
from mean_prompt.system.text import preview

#: Most bytes of a file, a thousand times what people write.
_LARGEST: Final = 2**20


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Read a TOML file of at most a megabyte and return its content as a dict.

    Raises:
        InputError: the file cannot be read, is too large, or is not TOML in UTF-8.
    """
    rule = f"{what} must be readable"
    with os_errors(rule, path, "give another file"), path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise InputError(
            f"{what} must have at most {_LARGEST:,} bytes: {path} has more; give another file"
        )
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except RecursionError as error:
        raise InputError(
            f"{what} must be TOML: {path}: brackets are nested too deeply; fix that line"
        ) from error
    # A number of thousands of digits is a ValueError, but no TOMLDecodeError.
    except ValueError as error:
        raise InputError(f"{what} must be TOML: {path}: {error}; fix that line") from error


def check_plain(data: dict[str, Any], where: str) -> None:
    """Raise an error if parsed TOML holds an invalid number or text, at any depth.

    TOML promises integers of 64 bits; numbers that are not finite pass every comparison with a
    bound or none; and text that is not Unicode, as a command line may hold it, cannot be written.

    Raises:
        InputError: a value is one of these; the message names its place.
    """
    for place, value in _leaves(data):
        reason = _fault(value)
        if reason:
            raise InputError(f"{place} in {where} is not valid: {reason}, found {preview(value)}")


def _leaves(data: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the dotted path and value of each leaf, without recursion: nesting may be deep."""
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
