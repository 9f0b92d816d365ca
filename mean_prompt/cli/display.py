"""The result of a search, as printed in a terminal."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mean_prompt.runs import (
    REPORT,
    affix_headings,
    affix_rows,
    compared,
    effort,
    holdout_line,
    no_affix,
)

if TYPE_CHECKING:
    from mean_prompt.runs import Inversion, ScoredString, SearchResult


def print_result(result: SearchResult, console: Console | None = None) -> None:
    """Print the string, its scores, and a table that compares it with the baselines."""
    console = console or Console(highlight=False)
    table = Table(title="expected SCS over every prompt", title_justify="left")
    table.add_column("score", justify="right")
    table.add_column("of the ceiling", justify="right")
    table.add_column("string", overflow="fold")
    for score, share, name, text in compared(result):
        table.add_row(score, share, Text.assemble((f"{name}: ", "dim"), text))
    table.rows[-1].style = "bold"
    console.print(table)
    lines = filter(None, (effort(result), holdout_line(result)))
    console.print(Text("; ".join(lines)), soft_wrap=True)
    _print_saved(result, console)


def print_affix(result: SearchResult, console: Console | None = None) -> None:
    """Print an affix, and the scores of predictions without and with it."""
    assert result.context is not None
    console = console or Console(highlight=False)
    position = result.context.position
    table = Table(title=f"mean SCS of predictions, {position} searched", title_justify="left")
    first, *figures, last = affix_headings(result.context)
    table.add_column(first)
    for name in figures:
        table.add_column(name, justify="right")
    table.add_column(last)
    for row in affix_rows(result.context):
        table.add_row(*row)
    console.print(table)
    if result.string:
        console.print(Text.assemble((f"{position}: ", "dim"), (result.string, "bold")))
    else:
        console.print(Text(no_affix(result.context)), soft_wrap=True)
    console.print(Text(effort(result)), soft_wrap=True)
    _print_saved(result, console)


def _print_saved(result: SearchResult, console: Console) -> None:
    if result.out:
        line = f"Saved in {result.out}; {REPORT} there shows it all"
        console.print(Text(line), soft_wrap=True)


def print_scores(rows: list[ScoredString]) -> None:
    """Print scored strings as a table, best first, to standard output."""
    console = Console(highlight=False)
    table = Table()
    for name in ("score", "of the ceiling", "tokens"):
        table.add_column(name, justify="right")
    table.add_column("string", overflow="fold")
    for row in sorted(rows, key=lambda row: -row.score):
        tokens = f"{row.tokens} (cut)" if row.truncated else str(row.tokens)
        table.add_row(f"{row.score:.5f}", f"{row.fraction:.3f}", tokens, Text(row.text))
    console.print(table)


def print_inversions(found: Sequence[Inversion], saved: Path | None) -> None:
    """Print the strings found for vectors, in their order, or where they are saved."""
    console = Console(highlight=False)
    cosines = sorted(one.cosine for one in found)
    if saved is None:
        table = Table()
        for name in ("cosine", "tokens"):
            table.add_column(name, justify="right")
        table.add_column("string", overflow="fold")
        for one in found:
            table.add_row(f"{one.cosine:.4f}", str(one.tokens), Text(one.string))
        console.print(table)
    line = f"{len(found):,} strings, cosine {cosines[0]:.3f} to {cosines[-1]:.3f}, median "
    line += f"{statistics.median(cosines):.3f}"
    console.print(Text(f"{line}; saved {saved}" if saved else line), soft_wrap=True)
