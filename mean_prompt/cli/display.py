"""What a search looks like in a terminal, in a log file, and at its end."""

from __future__ import annotations

import difflib
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mean_prompt.run_files import REPORT
from mean_prompt.units import format_duration

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

    from mean_prompt.result import ContextScores, ScoredString, SearchResult, Side
    from mean_prompt.tracker import Progress

_REFRESH: Final = 5
#: Seconds between two log lines that report no gain, and between two that do.
_LOG_EVERY: Final = 10.0
_LOG_GAIN_EVERY: Final = 2.0


def choose_display(*, quiet: bool) -> Display:
    """Return the live display on a terminal, log lines elsewhere, or nothing.

    Progress goes to standard error, so that standard output holds the result alone.
    """
    console = Console(stderr=True, highlight=False)
    if quiet:
        return Display(console)
    return LiveDisplay(console) if console.is_terminal else LogDisplay(console)


class Display:
    """A listener that shows nothing; the others show more."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def __call__(self, progress: Progress) -> None:
        """Show where the search stands."""


class LogDisplay(Display):
    """Plain lines, few enough to read: phases as they begin, gains, and a sign of life."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._last = -_LOG_EVERY
        self._phase = ""
        self._text = ""

    def __call__(self, progress: Progress) -> None:
        """Print a line where there is something to say."""
        for note in progress.notes:
            self._print(note)
        if progress.phase == "loaded":
            return
        pause = _LOG_GAIN_EVERY if progress.text != self._text else _LOG_EVERY
        now = time.monotonic()
        if progress.phase == self._phase and now - self._last < pause:
            return
        self._phase, self._last, self._text = progress.phase, now, progress.text
        self._print(_log_line(progress))

    def _print(self, line: str) -> None:
        self.console.print(Text(line), soft_wrap=True)


class LiveDisplay(Display):
    """A panel that is redrawn in place, with the newest edit highlighted."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live = Live(console=console, refresh_per_second=_REFRESH, transient=True)
        self._shown = ""
        self._string = Text()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Update the panel; the screen is redrawn a few times a second, not at every step."""
        for note in progress.notes:
            self._live.console.print(Text(note, style="dim"))
        if progress.text != self._shown:
            self._string = highlight_edit(self._shown, progress.text)
            self._shown = progress.text
        self._live.update(search_panel(progress, self._string))


def highlight_edit(before: str, after: str) -> Text:
    """Return a string with the words that were not in its predecessor highlighted."""
    old, new = before.split(" "), after.split(" ")
    text = Text(overflow="fold")
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for tag, _, _, first, last in matcher.get_opcodes():
        for word in new[first:last]:
            text.append(f" {word}" if text else word, style="" if tag == "equal" else "bold green")
    return text if before else Text(after, overflow="fold")


def search_panel(progress: Progress, string: Text) -> RenderableType:
    """Return the panel of the live display."""
    if progress.phase != "searching":
        what = {"loaded": "loading", "embedding": "embedding the corpus"}
        title = what.get(progress.phase, "embedding the vocabulary")
        bar = ProgressBar(total=progress.total or 1, completed=progress.done, width=40)
        counts = Text(f"{progress.done:,} of {progress.total or 0:,}")
        return Panel(Group(bar, counts), title=title, title_align="left")
    table = Table.grid(padding=(0, 3))
    table.add_row(*(Text(name, style="dim") for name in _figures(progress)))
    table.add_row(*(Text(value, style="bold") for value in _figures(progress).values()))
    return Panel(
        Group(table, Text(), string), title="mean-prompt search", title_align="left", expand=True
    )


def print_result(result: SearchResult, console: Console | None = None) -> None:
    """Print the string, its scores, and the table against the baselines.

    Args:
        result: of a search.
        console: where to; standard output when left out.
    """
    console = console or Console(highlight=False)
    table = Table(title="expected SCS over every prompt", title_justify="left")
    table.add_column("score", justify="right")
    table.add_column("of the ceiling", justify="right")
    table.add_column("string", overflow="fold")
    rows = sorted(result.baselines, key=lambda row: row.score)
    for row in rows:
        table.add_row(*_row(row.score, result.ceiling, row.name, row.text))
    table.add_row(*_row(result.score, result.ceiling, "found", result.string), style="bold")
    console.print(table)
    console.print(Text(_closing_line(result)), soft_wrap=True)
    if result.out:
        console.print(Text(_saved_line(result.out)), soft_wrap=True)


def print_affix(result: SearchResult, console: Console | None = None) -> None:
    """Print an affix and what it does for predictions, on rows the search saw and on others.

    Args:
        result: of a search for an affix.
        console: where to; standard output when left out.
    """
    assert result.context is not None
    console = console or Console(highlight=False)
    position = result.context.position
    table = Table(title=f"mean SCS of predictions, {position} searched", title_justify="left")
    table.add_column("rows")
    for name in ("number", "prompts", f"without {position}", f"with {position}", "change"):
        table.add_column(name, justify="right")
    table.add_column("95 % interval")
    for name, side in _sides(result.context):
        table.add_row(name, *_side_figures(side))
    console.print(table)
    if result.string:
        console.print(Text.assemble((f"{position}: ", "dim"), (result.string, "bold")))
    else:
        line = f"No {position} was found that is better than none: leave predictions as they are."
        console.print(Text(line), soft_wrap=True)
    console.print(Text(_effort(result)), soft_wrap=True)
    if result.out:
        console.print(Text(_saved_line(result.out)), soft_wrap=True)


def _saved_line(out: Path) -> str:
    return f"Saved in {out}; {REPORT} there shows it all"


def _sides(scores: ContextScores) -> list[tuple[str, Side]]:
    sides = [("searched", scores.train), ("held out", scores.holdout), ("all", scores.everything)]
    return [(name, side) for name, side in sides if side is not None]


def _side_figures(side: Side) -> tuple[str, ...]:
    return (
        f"{side.rows:,}",
        f"{side.groups:,}",
        f"{side.without:.5f}",
        f"{side.affixed:.5f}",
        f"{side.ratio - 1:+.2%}",
        f"{side.low / side.without:+.2%} to {side.high / side.without:+.2%}",
    )


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


def _row(score: float, ceiling: float, name: str, text: str) -> tuple[str, str, Text]:
    label = Text.assemble((f"{name}: ", "dim"), text)
    return f"{score:.5f}", f"{score / ceiling:.3f}", label


def _figures(progress: Progress) -> dict[str, str]:
    left = "" if progress.remaining is None else format_duration(progress.remaining)
    return {
        "score": f"{progress.score:.5f}",
        "of the ceiling": f"{progress.fraction:.3f}",
        "hold-out": "" if progress.holdout is None else f"{progress.holdout:.5f}",
        "evaluations": f"{progress.done:,}",
        "per second": f"{progress.rate:,.0f}",
        "climb": str(progress.trial + 1),
        "time left": left,
    }


def _log_line(progress: Progress) -> str:
    clock = f"{progress.seconds:7.1f}s"
    if progress.phase != "searching":
        what = "corpus" if progress.phase == "embedding" else "vocabulary"
        return f"{clock} embedding the {what}: {progress.done:,} of {progress.total or 0:,}"
    figures = (f"{name} {value}" for name, value in _figures(progress).items() if value)
    return f"{clock} {', '.join(figures)}: {progress.text}"


def _effort(result: SearchResult) -> str:
    line = (
        f"{result.tokens} tokens, {result.evaluations:,} evaluations in "
        f"{format_duration(result.seconds)} ({result.evaluations_per_second:,.0f}/s searching)"
    )
    return f"{line}; stopped early" if result.stopped else line


def _closing_line(result: SearchResult) -> str:
    line = _effort(result)
    if result.holdout_score is not None and result.holdout_interval is not None:
        interval = result.holdout_interval
        line += (
            f"; training {result.train_score:.5f}, hold-out {result.holdout_score:.5f} "
            f"(95 % interval {interval.low:.5f} to {interval.high:.5f})"
        )
    return line
