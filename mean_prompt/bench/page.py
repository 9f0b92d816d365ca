"""Present a comparison of search methods: as table rows, Markdown, and an HTML page with a plot."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from mean_prompt.bench.markup import code_span, escaped
from mean_prompt.bench.method import OWN

if TYPE_CHECKING:
    from mean_prompt.bench.report import MethodRun, MethodsReport

HEADINGS: Final = (
    "method", "runs", "median", "lowest", "highest", "by best peer", "s to best peer",
    "hold-out by train", "strings/s",
)  # fmt: skip
#: Points in time that a curve is drawn through, and the methods' colours, the project's own first.
_POINTS: Final = 240
_COLOURS: Final = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf")


def summary_rows(report: MethodsReport) -> list[tuple[str, ...]]:
    """Return the rows of a table with the columns ``HEADINGS``, one per method, best first."""
    return [
        (
            row.method,
            str(row.runs),
            f"{row.median:.4f}",
            f"{row.low:.4f}",
            f"{row.high:.4f}",
            _or_dash(row.ratio, ".3f"),
            _or_dash(row.seconds_to_peer, ".1f"),
            _or_dash(row.holdout_ratio, ".3f"),
            f"{row.evaluations_per_second:,.0f}",
        )
        for row in report.summaries
    ]


def setup_line(report: MethodsReport) -> str:
    """Return one sentence on the setup that all runs share: corpus, model, budget, machine."""
    setup = report.setup
    machine = setup.machine
    return (
        f"{setup.prompts:,} prompts ({setup.train:,} for training), {setup.model} on "
        f"{machine.device} screening in {setup.screening}, {setup.max_tokens} tokens, "
        f"{setup.budget:g} s a run, seeds {', '.join(map(str, setup.seeds))}, ceiling "
        f"{setup.ceiling:.4f}; {machine.cpu}, {machine.cores} cores, {machine.date}"
    )


def methods_markdown(report: MethodsReport) -> str:
    """Return a comparison of methods as Markdown: the command, the table, the best string."""
    best = max(report.runs, key=lambda run: run.fraction)
    note = "" if report.complete else "\nSome of the planned runs are missing.\n"
    return "\n".join(
        [
            "# Search methods at equal time",
            "",
            code_span(report.setup.machine.command),
            "",
            f"{escaped(setup_line(report))}.",
            note,
            _table(HEADINGS, summary_rows(report)),
            "",
            f"Best string, by {escaped(best.method)} with seed {best.seed}, {best.fraction:.4f}:",
            "",
            *(f"    {line}" for line in best.string.splitlines()),
            "",
        ]
    )


def curve(runs: Sequence[MethodRun], times: Sequence[float]) -> list[tuple[float, float, float]]:
    """Return the lowest, median and highest score of a method's runs at each of some times.

    Scores are shares of the ceiling. Until its first string a run counts with that string's score.
    """
    rows = []
    for at in times:
        shown = [[run.trace[0], *(p for p in run.trace if p.seconds <= at)][-1] for run in runs]
        values = [point.fraction for point in shown]
        rows.append((min(values), median(values), max(values)))
    return rows


def methods_page(report: MethodsReport) -> str:
    """Return a self-contained HTML page that plots each method's score over time, with a table."""
    import plotly.graph_objects as go

    end = report.setup.budget
    times = [end * point / _POINTS for point in range(_POINTS + 1)]
    figure: Any = go.Figure()
    names = sorted({run.method for run in report.runs}, key=lambda name: (name != OWN, name))
    for number, name in enumerate(names):
        rows = curve([run for run in report.runs if run.method == name], times)
        colour = _COLOURS[number % len(_COLOURS)]
        label = escaped(name)  # Plotly reads some tags in labels
        low, middle, high = (list(column) for column in zip(*rows, strict=True))
        band = {"fill": "toself", "fillcolor": colour, "opacity": 0.15, "line": {"width": 0}}
        band |= {"hoverinfo": "skip", "showlegend": False, "legendgroup": label}
        figure.add_scatter(x=[*times, *reversed(times)], y=[*high, *reversed(low)], **band)
        line = {"color": colour, "width": 3 if name == OWN else 2}
        figure.add_scatter(x=times, y=middle, name=label, line=line, legendgroup=label)
    figure.add_hline(y=1.0, line={"dash": "dash", "color": "gray"}, annotation_text="ceiling")
    figure.update_layout(
        title="Expected SCS over every prompt, as a share of the ceiling",
        xaxis_title="seconds of the run",
        yaxis_title="share of the ceiling",
        template="plotly_white",
    )
    plot: str = figure.to_html(full_html=False, include_plotlyjs=True)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<title>Search methods at equal time</title></head>"
        "<body style='font-family:sans-serif;max-width:70em;margin:auto'>"
        f"<h1>Search methods at equal time</h1><p>{escaped(setup_line(report))}</p>{plot}"
        f"<pre>{escape(_table(HEADINGS, summary_rows(report)))}</pre></body></html>\n"
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
