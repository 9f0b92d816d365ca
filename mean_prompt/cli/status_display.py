"""The status of a search in a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mean_prompt.system import format_duration

if TYPE_CHECKING:
    from mean_prompt.runs import RunStatus


def print_status(status: RunStatus) -> None:
    """Print the state of a run, a table of its figures, and its best string."""
    console = Console(highlight=False)
    console.print(Text(f"{status.name}: {status.describe()}"), soft_wrap=True)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in _figures(status):
        table.add_row(name, value)
    if table.row_count:
        console.print(table)
    if status.string is not None:
        best = Text.assemble(("best so far: ", "dim"), (status.string, "bold"))
        console.print(best, soft_wrap=True)


def _figures(status: RunStatus) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each figure that is known."""
    if status.score is not None and status.fraction is not None:
        yield "score", f"{status.score:.5f}"
        yield "of the ceiling", f"{100 * status.fraction:.1f} %"
    if status.rate is not None:
        yield "evaluations", f"{status.evaluations:,}"
        yield "per second", f"{status.rate:,.0f}"
    for climb in status.climbs:
        share = f"{100 * climb.fraction:.1f} % of the ceiling"
        yield f"climb {climb.number + 1}", f"{share} at {climb.tenths} tenths"
    if status.seconds_left is not None:
        yield "time left", format_duration(status.seconds_left)
    if status.state == "running" and status.last_event is not None:
        yield "last event", f"{format_duration(time.time() - status.last_event)} ago"
