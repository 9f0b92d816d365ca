"""What a running search looks like: redrawn in place where that can be, as lines elsewhere."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mean_prompt.system import InputError, format_duration

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mean_prompt.runs import Progress

_PHASES: Final = {"loaded": "loading", "embedding": "embedding the corpus"}
_REFRESH: Final = 5
#: Seconds between two log lines that report no gain, and between two that do.
_LOG_EVERY: Final = 10.0
_LOG_GAIN_EVERY: Final = 2.0


def progress_display(*, quiet: bool = False) -> Display:
    """Return what shows a search's progress here, to be entered and passed as its listener.

    ::

        with progress_display() as listener:
            result = search("prompts.csv", listener=listener)

    In a Jupyter notebook and on a terminal it is redrawn in place; elsewhere, as in a log file, it
    is lines, few enough to read. But for the notebook's, it goes to standard error, so that
    standard output holds the result alone.

    Args:
        quiet: whether to show nothing.
    """
    console = Console(stderr=True, highlight=False)
    if quiet:
        return Display(console)
    if console.is_jupyter:
        from mean_prompt.report.progress.notebook import NotebookDisplay

        return NotebookDisplay(console)
    return LiveDisplay(console) if console.is_terminal else LogDisplay(console)


class Display:
    """A listener that shows nothing; the others show more.

    Raises:
        InputError: it is told of progress outside of its ``with`` block.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._is_on = False

    def __enter__(self) -> Self:
        self._is_on = True
        self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_on = False
        self._end()

    def __call__(self, progress: Progress) -> None:
        """Show where the search stands."""
        if not self._is_on:
            raise InputError(
                "a progress display works within its block alone: write `with progress_display() "
                "as listener:` around the search"
            )
        self._show(progress)

    def _begin(self) -> None:
        pass

    def _show(self, progress: Progress) -> None:
        pass

    def _end(self) -> None:
        pass


class LogDisplay(Display):
    """Plain lines, few enough to read: phases as they begin, gains, and a sign of life."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._last = -_LOG_EVERY
        self._phase = ""
        self._text = ""

    def _show(self, progress: Progress) -> None:
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
        self._print(log_line(progress))

    def _print(self, line: str) -> None:
        self.console.print(Text(line), soft_wrap=True)


class LiveDisplay(Display):
    """A panel that is redrawn in place, with the newest edit highlighted."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live = Live(console=console, refresh_per_second=_REFRESH, transient=True)
        self._shown = ""
        self._string = Text()

    def _begin(self) -> None:
        self._live.start()

    def _end(self) -> None:
        self._live.stop()

    def _show(self, progress: Progress) -> None:
        """Update the panel; the screen is redrawn a few times a second, not at every step."""
        for note in progress.notes:
            self._live.console.print(Text(note, style="dim"))
        if progress.phase == "loaded" and self._shown:
            return  # notes in the midst of a search, as of a worker that was lost
        if progress.text != self._shown:
            self._string = highlight_edit(self._shown, progress.text)
            self._shown = progress.text
        self._live.update(search_panel(progress, self._string))


def highlight_edit(before: str, after: str) -> Text:
    """Return a string with the words that were not in its predecessor highlighted."""
    if not before:
        return Text(after, overflow="fold")
    text = Text(overflow="fold")
    for word, is_new in edited_words(before, after):
        text.append(f" {word}" if text else word, style="bold green" if is_new else "")
    return text


def search_panel(progress: Progress, string: Text) -> RenderableType:
    """Return the panel of the live display."""
    if progress.phase != "searching":
        bar = ProgressBar(total=progress.total or 1, completed=progress.done, width=40)
        counts = Text(f"{progress.done:,} of {progress.total or 0:,}")
        return Panel(Group(bar, counts), title=phase_title(progress), title_align="left")
    table = Table.grid(padding=(0, 3))
    figures = progress_figures(progress)
    table.add_row(*(Text(name, style="dim") for name in figures))
    table.add_row(*(Text(value, style="bold") for value in figures.values()))
    return Panel(
        Group(table, Text(), string), title="mean-prompt search", title_align="left", expand=True
    )


def phase_title(progress: Progress) -> str:
    """Return what is done before a search begins."""
    return _PHASES.get(progress.phase, "embedding the vocabulary")


def progress_figures(progress: Progress) -> dict[str, str]:
    """Return where a search stands; a figure that is not known is empty."""
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


def log_line(progress: Progress) -> str:
    """Return a line of where a search stands."""
    clock = f"{progress.seconds:7.1f}s"
    if progress.phase != "searching":
        return f"{clock} {phase_title(progress)}: {progress.done:,} of {progress.total or 0:,}"
    figures = (f"{name} {value}" for name, value in progress_figures(progress).items() if value)
    return f"{clock} {', '.join(figures)}: {progress.text}"


def edited_words(before: str, after: str) -> Iterator[tuple[str, bool]]:
    """Yield a string's words, and whether each is new against the string's predecessor."""
    old, new = before.split(" "), after.split(" ")
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for tag, _, _, first, last in matcher.get_opcodes():
        for word in new[first:last]:
            yield word, tag != "equal"
