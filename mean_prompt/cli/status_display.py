"""A search's status as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mean_prompt.system import format_duration

if TYPE_CHECKING:
    from mean_prompt.workers import Status


def print_status(status: Status, console: Console | None = None) -> None:
    """Print workers and the best string, to standard output.

    Args:
        status: of a search.
        console: where to; standard output when left out.
    """
    console = console or Console(highlight=False)
    # Narrow enough for a terminal of 80 columns: what a worker does must not be cut short.
    table = Table(
        title=status.title(), title_justify="left", box=box.SIMPLE_HEAD, padding=0, pad_edge=False
    )
    table.add_column("worker")
    table.add_column("process", overflow="fold")
    table.add_column("state", no_wrap=True)
    for name in ("heard of", "climbs", "evaluations", "per second", "best"):
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
    if status.text is not None:
        console.print(Text.assemble(("best so far: ", "dim"), (status.text, "bold")))
