"""Progress of long work in a Jupyter notebook: one output, which is redrawn in place."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from IPython.display import display

from mean_prompt.report.progress.terminal import (
    Display,
    edited_words,
    log_line,
    phase_counts,
    phase_title,
    search_event,
    search_figures,
)
from mean_prompt.system import ProgressEvent, render, shortened

if TYPE_CHECKING:
    from rich.console import Console

#: Seconds between two redraws, as in a terminal.
_EVERY: Final = 0.2
#: Most characters of the best string that are shown.
_MOST: Final = 2_000
_LOADING: Final = ProgressEvent("loaded")


class NotebookDisplay(Display):
    """A progress display in one notebook output, redrawn in place; its last state stays.

    Rich's live display needs a package of widgets in Jupyter, and clears the output each time,
    which flickers; Jupyter's own output updates need neither, and a saved notebook keeps them.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._handle: Any = None
        self._notes: list[str] = []
        self._before = self._text = ""
        self._event = _LOADING
        self._is_drawn = True
        self._last = 0.0

    def _begin(self) -> None:
        said = {"text/plain": "loading", "text/html": progress_html(_LOADING)}
        self._handle = display(said, raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def _show(self, event: ProgressEvent) -> None:
        self._notes += event.notes
        search = search_event(event)
        if search and search.text != self._text:
            self._before, self._text = self._text, search.text
        # Notes also arrive in the middle of a search, such as that a worker was lost.
        if self._event is _LOADING or event.phase != "loaded":
            self._event = event
        self._is_drawn = False
        if time.monotonic() - self._last >= _EVERY:
            self._end()

    def _end(self) -> None:
        """Draw the last progress event, unless it has been drawn."""
        if self._is_drawn:
            return
        line = log_line(self._event, time.monotonic() - self._began)
        html = progress_html(self._event, self._before, self._notes)
        said = {"text/plain": line, "text/html": html}
        self._handle.update(said, raw=True)
        self._is_drawn, self._last = True, time.monotonic()


def progress_html(event: ProgressEvent, before: str = "", notes: list[str] | None = None) -> str:
    """Return a progress event as HTML.

    Args:
        event: the event, of a search or of other work.
        before: the previous best string; the words that differ from it are marked.
        notes: messages to the user about the corpus and the model.
    """
    search = search_event(event)
    text = shortened(search.text if search else "", _MOST)
    is_counted = event.total is not None and event.phase != "loaded"
    return render(
        "progress.html",
        title="mean-prompt search" if search else phase_title(event),
        share=_share(event),
        counts=phase_counts(event) if is_counted else "",
        figures=search_figures(search) if search else {},
        words=list(edited_words(before or text.head, text.head)) if text.head else (),
        cut_of=text.of,
        notes=notes or (),
    )


def _share(event: ProgressEvent) -> float | None:
    """Return the finished share of the work or of a search's limits, or ``None`` if unknown."""
    shares = []
    if event.total and event.phase != "loaded":
        shares.append(event.done / event.total)
    search = search_event(event)
    if search and search.remaining is not None:
        shares.append(search.seconds / max(search.seconds + search.remaining, 1e-9))
    return min(max(shares), 1.0) if shares else None
