"""The benchmarks' progress on standard error, and their tables on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from mean_prompt.bench import HEADINGS, BenchProgress, product_line, setup_line, summary_rows
from mean_prompt.system import Listener, ProgressEvent

if TYPE_CHECKING:
    from pathlib import Path

    from mean_prompt.bench import MethodsReport, ScaleRow, SpeedReport

_SCALE_HEADINGS: Final = (
    "prompts",
    "prepare s",
    "objective ms",
    "step ms",
    "step by 10,000's",
    "search error",
    "score error",
    "peak GiB",
)


@contextmanager
def bench_display() -> Iterator[Listener]:
    """Show a benchmark's progress on standard error."""
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24))
    is_file = not console.is_terminal
    shown = ""

    def show(event: ProgressEvent) -> None:
        nonlocal shown
        title, detail, done, total = _described(event)
        bar.update(task, description=f"{title}{detail}", completed=done, total=total)
        # A log file gets a line for each phase and run, a terminal the bar.
        if is_file and title != shown:
            console.print(Text(title), soft_wrap=True)
        shown = title

    with Progress(*columns, console=console, transient=True, disable=is_file) as bar:
        task = bar.add_task("", total=None)
        yield show


def _described(event: ProgressEvent) -> tuple[str, str, float, float | None]:
    """Return title, detail, done and total of an event's bar."""
    if isinstance(event, BenchProgress):
        run = f"run {event.done + 1} of {event.total}, {event.method} with seed {event.seed}"
        return run, f": {event.fraction:.4f} of the ceiling", event.seconds, event.budget
    if event.total is None:
        return event.phase, "", 0, None
    detail = f": {event.done:,} of {event.total:,} {event.unit}".rstrip()
    return event.phase, detail, event.done, event.total


def print_methods(report: MethodsReport, out: Path | None) -> None:
    """Print the comparison as a table."""
    console = Console(highlight=False)
    title = "expected SCS over every prompt, as a share of the ceiling"
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for name in HEADINGS:
        table.add_column(name, justify="left" if name == "method" else "right")
    table.columns[0].no_wrap = True
    for row in summary_rows(report):
        table.add_row(*row)
    console.print(table)
    console.print(Text(setup_line(report)), soft_wrap=True)
    if not report.complete:
        console.print(Text(f"Ended early, after {len(report.runs)} runs."))
    if out:
        console.print(Text(f"Saved in {out}"), soft_wrap=True)


def print_speed(report: SpeedReport, out: Path | None) -> None:
    """Print a table for each model."""
    console = Console(highlight=False)
    for row in report.models:
        title = f"{row.model}: {row.strings} strings of {row.tokens} tokens"
        table = Table(title=title, title_justify="left", box=SIMPLE)
        table.add_column("path", no_wrap=True)
        for name in ("strings/s", "slowest to fastest", "by the library's"):
            table.add_column(name, justify="right")
        for path in row.paths:
            table.add_row(
                path.path,
                f"{path.strings_per_second:,.0f}",
                f"{path.slowest:,.0f} to {path.fastest:,.0f}",
                f"{path.ratio:.2f}",
            )
        console.print(table)
        console.print(Text(product_line(row)), soft_wrap=True)
    machine = report.machine
    console.print(
        Text(f"{machine.cpu}, {machine.cores} cores, {machine.threads} threads, {machine.device}"),
        soft_wrap=True,
    )
    if out:
        console.print(Text(f"Saved in {out}"), soft_wrap=True)


def print_scale(rows: Iterable[ScaleRow]) -> None:
    """Print a row for each size, as soon as it is known."""
    console = Console(highlight=False)
    widths = [max(len(name), 9) for name in _SCALE_HEADINGS]
    console.print("  ".join(map(str.rjust, _SCALE_HEADINGS, widths)), soft_wrap=True)
    for row in rows:
        cells = (
            f"{row.prompts:,}",
            f"{row.prepare_seconds:.1f}",
            f"{1000 * row.objective_seconds:.1f}",
            f"{1000 * row.step_seconds:.0f}",
            f"{row.step_ratio:.2f}",
            f"{row.error:.1e}",
            f"{row.score_error:.1e}",
            "-" if row.peak_gib is None else f"{row.peak_gib:.2f}",
        )
        console.print("  ".join(map(str.rjust, cells, widths)), soft_wrap=True)
