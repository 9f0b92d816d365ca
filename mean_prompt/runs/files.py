"""Names of the files in a run's folder, and functions that read them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from mean_prompt.system import InputError

BEST: Final = "best.txt"
RESULT: Final = "result.json"
EVENTS: Final = "events.jsonl"
STUDY: Final = "study.db"
RECIPE: Final = "recipe.toml"
CHECKPOINT: Final = "checkpoint.bin"
ANALYSIS: Final = "analysis.json"
ROWS: Final = "rows.json"
REPORT: Final = "report.html"
LIVE: Final = "live"

_Read = TypeVar("_Read")


def read_events(path: Path, *, backwards: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the events of a run from its JSONL file; an incomplete last line is left out.

    Raises:
        InputError: a complete line is not JSON.
    """
    *lines, _unfinished = path.read_bytes().split(b"\n")
    numbered = list(enumerate(lines, 1))
    for number, line in reversed(numbered) if backwards else numbered:
        try:
            event = json.loads(line)
        except ValueError as error:
            raise InputError(
                f"each line of a run's events must be JSON: {path}, line {number} is not; remove it"
            ) from error
        yield event


def read_json(path: Path, validate: Callable[[object], _Read]) -> _Read | None:
    """Read and validate a JSON file of a run; return ``None`` if it does not exist."""
    try:
        return validate(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"a run's {path.name} must be whole: {path}: {_reason(error)}; delete it and make it "
            "again, or name another run"
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
