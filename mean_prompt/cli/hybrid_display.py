"""Results of ``predict`` and ``evaluate`` in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mean_prompt.system import format_duration

if TYPE_CHECKING:
    from mean_prompt.hybrid import Evaluation, GroupScore, Summary, VectorReport


def print_summary(summary: Summary, console: Console | None = None) -> None:
    """Print what a prediction run did, to standard output."""
    console = console or Console(highlight=False)
    for note in summary.notes:
        console.print(Text(note, style="dim"), soft_wrap=True)
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    table.add_column()
    rows = {
        "rows": summary.rows,
        "answered with a prediction": summary.with_llm,
        "answered by the index alone": summary.by_index,
        "left with the universal string, no time": summary.universal,
        **{f"answers: {kind}": count for kind, count in summary.kinds.items()},
        **{f"by rule: {rule}": count for rule, count in summary.rules.items()},
        **{f"predictor failed: {fault}": count for fault, count in summary.faults.items()},
    }
    for name, count in rows.items():
        table.add_row(f"{count:,}", name)
    console.print(table)
    expected = "" if summary.expected is None else f", expected SCS {summary.expected:.4f}"
    files = [summary.out, summary.table, *([summary.page] if summary.page else [])]
    saved = " and ".join([", ".join(map(str, files[:-1])), str(files[-1])])
    line = f"{format_duration(summary.seconds)}{expected}; saved {saved}"
    console.print(Text(line), soft_wrap=True)


def print_evaluation(evaluation: Evaluation, console: Console | None = None) -> None:
    """Print the comparison as a table, and the prompts that gain and lose most."""
    console = console or Console(highlight=False)
    for note in evaluation.notes:
        console.print(Text(note, style="dim"), soft_wrap=True)
    table = Table(
        title=f"SCS over {evaluation.rows:,} rows of {evaluation.groups:,} prompts, compared with "
        f"the {evaluation.reference}",
        title_justify="left",
    )
    table.add_column("method")
    from mean_prompt.hybrid import METHOD_HEADINGS, method_figures

    for name in METHOD_HEADINGS:
        table.add_column(name, justify="right", no_wrap=True)
    for method in evaluation.methods:
        style = "bold" if method.name == "hybrid" else None
        table.add_row(method.name, *method_figures(method), style=style)
    console.print(table)
    kinds = ", ".join(f"{kind} {count}" for kind, count in evaluation.kinds.items())
    expected = "" if evaluation.expected is None else f"expected {evaluation.expected:.4f}; "
    console.print(Text(f"The hybrid: {expected}{kinds}."), soft_wrap=True)
    for title, groups in (("gain", evaluation.winners), ("lose", evaluation.losers)):
        console.print(_groups(f"prompts that {title} most", groups))


def _groups(title: str, groups: tuple[GroupScore, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("hybrid", "reference", "rows"):
        table.add_column(name, justify="right")
    table.add_column("prompt", overflow="fold")
    for group in groups:
        table.add_row(
            f"{group.hybrid:.3f}", f"{group.reference:.3f}", str(group.rows), Text(group.prompt)
        )
    return table


def print_vector_report(report: VectorReport, console: Console | None = None) -> None:
    """Print what a trained vector predictor is worth, on prompts that were left out."""
    console = console or Console(highlight=False)
    for note in report.notes:
        console.print(Text(note, style="dim"), soft_wrap=True)
    for side in report.sides:
        table = Table(
            title=f"{side.name}: SCS on prompts left out; {side.rung} chosen, alpha {side.alpha:g}",
            title_justify="left",
        )
        table.add_column("what")
        for name in ("rows", "mean", "95 %"):
            table.add_column(name, justify="right", no_wrap=True)
        for one in (side.vector, *side.kinds, side.choice, side.oracle):
            interval = f"{one.interval.low:.3f} to {one.interval.high:.3f}"
            table.add_row(one.name, f"{one.rows:,}", f"{one.mean:.4f}", interval)
        console.print(table)
        tried = (f"{rung} {score:.4f} (alpha {alpha:g})" for rung, alpha, score in side.tried)
        console.print(Text(f"tried: {', '.join(tried)}"))
        if side.views:
            lost = ", ".join(f"{name} {loss:+.4f}" for name, loss in side.views)
            console.print(Text(f"lost without a view: {lost}"))
    console.print(
        Text(f"{report.rows:,} rows of {report.prompts:,} prompts; saved {report.out}"),
        soft_wrap=True,
    )
