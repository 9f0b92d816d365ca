"""What the benchmarks show: progress on standard error, tables on standard output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from mean_prompt.bench import HEADINGS, product_line, setup_line, summary_rows

if TYPE_CHECKING:
    from pathlib import Path

    from mean_prompt.bench import BenchProgress, MethodsReport, ScaleRow, SpeedReport

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
def methods_display() -> Iterator[Callable[[BenchProgress], None]]:
    """Show which run of how many is on, how long, and what it has found."""
    console = Console(stderr=True, highlight=False)
    shown = ""

    def show(at: BenchProgress) -> None:
        nonlocal shown
        line = _describe(at)
        total = at.budget if at.phase == "running" else at.total
        done = at.seconds if at.phase == "running" else at.done
        bar.update(task, description=line, completed=done, total=total or None)
        title = line.partition(":")[0]
        # A log file gets a line a phase and run, a terminal the bar.
        if not console.is_terminal and title != shown:
            console.print(Text(title), soft_wrap=True)
        shown = title

    with _bar(console) as bar:
        task = bar.add_task("", total=None)
        yield show


@contextmanager
def speed_display() -> Iterator[Callable[[str, int, int], None]]:
    """Show which model is timed, and how many repeats are done."""
    with _bar(Console(stderr=True, highlight=False)) as bar:
        task = bar.add_task("loading", total=None)

        def show(model: str, done: int, total: int) -> None:
            bar.update(task, description=model, completed=done, total=total)

        yield show


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
    """Print a table a model."""
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
    """Print a row a size, as soon as it is known."""
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


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24))
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _describe(at: BenchProgress) -> str:
    if at.phase == "loading":
        return "loading the model"
    if at.phase != "running":
        return f"embedding the {at.phase}: {at.done:,} of {at.total:,}"
    run = f"run {at.done + 1} of {at.total}, {at.method} with seed {at.seed}"
    return f"{run}: {at.fraction:.4f} of the ceiling"
