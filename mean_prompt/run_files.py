"""The files of a run's folder, for those who only read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mean_prompt.errors import InputError

BEST: Final = "best.txt"
RESULT: Final = "result.json"
EVENTS: Final = "events.jsonl"
STUDY: Final = "study.db"
WORKERS: Final = "workers"
RECIPE: Final = "recipe.toml"
SNAPSHOTS: Final = "snapshots"
ANALYSIS: Final = "analysis.json"
ROWS: Final = "rows.json"
REPORT: Final = "report.html"
LIVE: Final = "live"


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a run's events; a last line that is being written, or that a crash tore, is left out.

    Raises:
        InputError: another line is no event.
        OSError: the file cannot be read.
    """
    *lines, _unfinished = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
        except ValueError as error:
            raise InputError(
                f"each line of a run's events must be JSON: {path}, line {number} is not; remove it"
            ) from error
        yield event
