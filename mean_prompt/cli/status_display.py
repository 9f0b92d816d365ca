"""How a search is, in a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mean_prompt.system import format_duration

if TYPE_CHECKING:
    from mean_prompt.runs import RunStatus
    from mean_prompt.workers import Status


def print_run(status: RunStatus) -> None:
    """Print how a run is and its best string, to standard output."""
    console = Console(highlight=False)
    console.print(Text(f"{status.name}: {status.describe()}"), soft_wrap=True)
    details = []
    if status.seconds_left is not None:
        details.append(f"{format_duration(status.seconds_left)} left")
    if status.state == "running" and status.last_event is not None:
        details.append(f"last event {format_duration(time.time() - status.last_event)} ago")
    if status.score is not None and status.fraction is not None:
        details.append(f"score {status.score:.5f}, {status.fraction:.3f} of the ceiling")
    if details:
        console.print(Text("; ".join(details)), soft_wrap=True)
    _print_best(status.string, console)


def print_crew(status: Status, console: Console | None = None) -> None:
    """Print the workers of a search and its best string, to standard output."""
    console = console or Console(highlight=False)
    # Narrow enough for a terminal of 80 columns.
    table = Table(
        title=status.title(), title_justify="left", box=box.SIMPLE_HEAD, padding=0, pad_edge=False
    )
    table.add_column("worker")
    table.add_column("process", overflow="fold")
    table.add_column("state", no_wrap=True)
    for name in ("last seen", "climbs", "evaluations", "per second", "best"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in status.workers:
        best = "" if row.score is None else f"{row.score:.5f}"
        table.add_row(
            str(row.number),
            Text(row.name),
            Text(row.state, style="" if row.is_live else "dim"),
            "now" if row.silent < 1 else f"{format_duration(row.silent)} ago",
            f"{row.climbs:,}",
            f"{row.evaluations:,}",
            f"{row.rate:,.0f}" if row.is_live else "",
            best,
        )
    console.print(table)
    console.print(Text(status.line()), soft_wrap=True)
    _print_best(status.text, console)


def _print_best(string: str | None, console: Console) -> None:
    if string is not None:
        console.print(Text.assemble(("best so far: ", "dim"), (string, "bold")))
