"""A search's progress in a Jupyter notebook: one output, which is redrawn in place."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from IPython.display import display

from mean_prompt.report.progress.terminal import (
    Display,
    edited_words,
    log_line,
    phase_title,
    progress_figures,
)
from mean_prompt.system import render, shortened

if TYPE_CHECKING:
    from rich.console import Console

    from mean_prompt.runs import Progress

#: Seconds between two redraws, as of a terminal.
_EVERY: Final = 0.2
#: Characters of the string that are shown.
_MOST: Final = 2_000


class NotebookDisplay(Display):
    """One output that is redrawn in place and keeps the last state.

    Rich's live display needs a package of widgets here, and clears the output each time, which
    flickers; Jupyter's own way to replace an output needs neither, and a saved notebook shows it.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._handle: Any = None
        self._notes: list[str] = []
        self._before = self._text = ""
        self._state: Progress | None = None
        self._is_drawn = True
        self._last = 0.0

    def _begin(self) -> None:
        said = {"text/plain": "loading", "text/html": _html("loading")}
        self._handle = display(said, raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def _show(self, progress: Progress) -> None:
        self._notes += progress.notes
        if progress.text and progress.text != self._text:
            self._before, self._text = self._text, progress.text
        # Notes come in the midst of a search too, as of a worker that was lost.
        if self._state is None or progress.phase != "loaded":
            self._state = progress
        self._is_drawn = False
        if time.monotonic() - self._last >= _EVERY:
            self._draw()

    def _end(self) -> None:
        self._draw()

    def _draw(self) -> None:
        """Show the last that was told, unless it is shown."""
        if self._state is None or self._is_drawn:
            return
        html = progress_html(self._state, self._before, self._notes)
        said = {"text/plain": log_line(self._state), "text/html": html}
        self._handle.update(said, raw=True)
        self._is_drawn, self._last = True, time.monotonic()


def progress_html(progress: Progress, before: str, notes: list[str]) -> str:
    """Return where a search stands.

    Args:
        progress: of it.
        before: the best string before this one, against which the newest edit is marked.
        notes: what the user should know of corpus and model.
    """
    is_searching = progress.phase == "searching"
    is_counted = progress.total is not None and progress.phase != "loaded"
    text = shortened(progress.text, _MOST)
    return _html(
        "mean-prompt search" if is_searching else phase_title(progress),
        share=_share(progress),
        counts=f"{progress.done:,} of {progress.total:,}" if is_counted else "",
        figures=progress_figures(progress) if is_searching else {},
        words=list(edited_words(before or text.head, text.head)) if text.head else (),
        cut_of=text.of,
        notes=notes,
    )


def _html(
    title: str,
    *,
    share: float | None = None,
    counts: str = "",
    figures: Mapping[str, str] = MappingProxyType({}),
    words: Sequence[tuple[str, bool]] = (),
    cut_of: int | None = None,
    notes: Sequence[str] = (),
) -> str:
    return render(
        "progress.html",
        title=title,
        share=share,
        counts=counts,
        figures=figures,
        words=words,
        cut_of=cut_of,
        notes=notes,
    )


def _share(progress: Progress) -> float | None:
    """Return the share of the work, or of the search's limits, that is done, if it is known."""
    shares = []
    if progress.total and progress.phase != "loaded":
        shares.append(progress.done / progress.total)
    if progress.phase == "searching" and progress.remaining is not None:
        shares.append(progress.seconds / max(progress.seconds + progress.remaining, 1e-9))
    return min(max(shares), 1.0) if shares else None
