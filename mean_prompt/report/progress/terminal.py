"""Progress displays: a panel redrawn in place in a terminal, or lines in a log."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Self, cast

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mean_prompt.system import InputError, ProgressEvent, format_duration

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mean_prompt.runs import SearchProgress

#: Titles of phases whose names are too short to be understood.
_PHASES: Final = {
    "loaded": "loading",
    "embedding": "embedding the corpus",
    "vocabulary": "embedding the vocabulary",
}
#: Redraws per second.
_REFRESH: Final = 5
#: Seconds between two log lines without a new best string, and between two with one.
_LOG_EVERY: Final = 10.0
_LOG_GAIN_EVERY: Final = 2.0


class Display:
    """A listener for progress events that shows nothing; its subclasses show progress.

    Raises:
        InputError: the display is called outside of its ``with`` block.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._is_on = False
        self._began = 0.0

    def __enter__(self) -> Self:
        self._is_on, self._began = True, time.monotonic()
        self._begin()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_on = False
        self._end()

    def __call__(self, event: ProgressEvent) -> None:
        """Show a progress event of a search or of other work, such as embedding."""
        if not self._is_on:
            raise InputError(
                "a progress display works within its block alone: write `with progress_display() "
                "as listener:` around the search"
            )
        self._show(event)

    def _begin(self) -> None:
        pass

    def _show(self, event: ProgressEvent) -> None:
        pass

    def _end(self) -> None:
        pass


class LogDisplay(Display):
    """A display that prints lines: at each new phase, at a better string, and every ten seconds."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._last = -_LOG_EVERY
        self._phase = ""
        self._text = ""

    def _show(self, event: ProgressEvent) -> None:
        for note in event.notes:
            self._print(note)
        if event.phase == "loaded":
            return
        search = search_event(event)
        text = search.text if search else ""
        pause = _LOG_GAIN_EVERY if text != self._text else _LOG_EVERY
        now = time.monotonic()
        if event.phase == self._phase and now - self._last < pause:
            return
        self._phase, self._last, self._text = event.phase, now, text
        self._print(log_line(event, now - self._began))

    def _print(self, line: str) -> None:
        self.console.print(Text(line), soft_wrap=True)


class LiveDisplay(Display):
    """A terminal panel, redrawn in place, with the newest edit of the best string highlighted."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live = Live(console=console, refresh_per_second=_REFRESH, transient=True)
        self._text = ""
        self._string = Text()

    def _begin(self) -> None:
        self._live.start()

    def _end(self) -> None:
        self._live.stop()

    def _show(self, event: ProgressEvent) -> None:
        for note in event.notes:
            self._live.console.print(Text(note, style="dim"))
        search = search_event(event)
        if search is None:
            # Notes also arrive in the middle of a search, such as that a worker was lost.
            if event.phase != "loaded" or not self._text:
                self._live.update(phase_panel(event))
            return
        if search.text != self._text:
            self._string = highlight_edit(self._text, search.text)
            self._text = search.text
        self._live.update(search_panel(search, self._string))


def search_event(event: ProgressEvent) -> SearchProgress | None:
    """Return the event as one of a search, with its score, or ``None`` if it is of other work."""
    return cast("SearchProgress", event) if event.phase == "searching" else None


def phase_panel(event: ProgressEvent) -> RenderableType:
    """Return a panel with the progress bar of a phase, such as embedding the corpus."""
    bar = ProgressBar(total=event.total, completed=event.done, width=40, pulse=event.total is None)
    return Panel(
        Group(bar, Text(phase_counts(event))), title=phase_title(event), title_align="left"
    )


def search_panel(progress: SearchProgress, string: Text) -> RenderableType:
    """Return a panel with a search's score, speed and time left, and its best string."""
    table = Table.grid(padding=(0, 3))
    figures = search_figures(progress)
    table.add_row(*(Text(name, style="dim") for name in figures))
    table.add_row(*(Text(value, style="bold") for value in figures.values()))
    return Panel(
        Group(table, Text(), string), title="mean-prompt search", title_align="left", expand=True
    )


def phase_title(event: ProgressEvent) -> str:
    """Return the title of a progress event's phase, such as ``embedding the corpus``."""
    return _PHASES.get(event.phase, event.phase)


def phase_counts(event: ProgressEvent) -> str:
    """Return how many items of a phase are done: ``3 of 50 prompts``."""
    of = "" if event.total is None else f" of {event.total:,}"
    return f"{event.done:,}{of} {event.unit}".rstrip()


def search_figures(progress: SearchProgress) -> dict[str, str]:
    """Return a search's score, speed and other figures as text by name; unknown ones are empty."""
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


def log_line(event: ProgressEvent, seconds: float) -> str:
    """Return a progress event as a line of a log.

    Args:
        event: the event.
        seconds: seconds since the display was entered; the events of a search hold their own.
    """
    search = search_event(event)
    seconds = getattr(event, "seconds", seconds)
    if search is None:
        return f"{seconds:7.1f}s {phase_title(event)}: {phase_counts(event)}"
    figures = (f"{name} {value}" for name, value in search_figures(search).items() if value)
    return f"{seconds:7.1f}s {', '.join(figures)}: {search.text}"


def highlight_edit(before: str, after: str) -> Text:
    """Return ``after`` as styled text with the words that were not in ``before`` highlighted."""
    text = Text(overflow="fold")
    for word, is_new in edited_words(before or after, after):
        text.append(f" {word}" if text else word, style="bold green" if is_new else "")
    return text


def edited_words(before: str, after: str) -> Iterator[tuple[str, bool]]:
    """Yield the words of ``after``, each with whether it is new compared with ``before``."""
    old, new = before.split(" "), after.split(" ")
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for tag, _, _, first, last in matcher.get_opcodes():
        for word in new[first:last]:
            yield word, tag != "equal"
