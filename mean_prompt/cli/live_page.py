"""The options of a live page, and what the terminal says of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mean_prompt.report import Display, LivePage
    from mean_prompt.runs import Listener, Progress

Live = Annotated[
    bool,
    typer.Option(
        "--live",
        help="Serve the run's page while it runs, to this machine alone; the address is printed.",
    ),
]
LiveAt = Annotated[
    str | None,
    typer.Option(
        metavar="[HOST:]PORT",
        help="--live, at this address. Default: 127.0.0.1, and the port that the run's page had "
        "before, else a free one.",
        show_default=False,
    ),
]


@contextmanager
def live_page(run: Path, *, live: bool, at: str | None) -> Iterator[LivePage | None]:
    """Hold the live page of a run that is asked for, if it is.

    Args:
        run: the run's folder, there or not.
        live: whether it is asked for.
        at: where, which asks for it too.

    Raises:
        InputError: it cannot be served there.
    """
    if not live and at is None:
        yield None
        return
    from mean_prompt.report import LivePage
    from mean_prompt.system import Address

    with LivePage(run, None if at is None else Address.parse(at)) as page:
        yield page


def followed_by(page: LivePage | None, display: Display) -> Listener:
    """Return a listener that begins a page once the run is written down, and shows progress."""
    if page is None:
        return display
    is_begun = False

    def listen(progress: Progress) -> None:
        nonlocal is_begun
        if not is_begun and page.has_run():
            is_begun = True
            begin(page, display)
        display(progress)

    return listen


def begin(page: LivePage, display: Display) -> None:
    """Begin a page, and say where it is, however quiet the rest is kept."""
    page.begin()
    _say(display, f"live page: {page.address.url}")
    if not page.address.is_private:
        _say(display, f"it is open to whoever reaches {page.address.host}")
    if page.moved_from:
        _say(
            display,
            f"it was at {page.moved_from.url} before, which is taken: a page that is still open "
            "must be opened anew",
        )


def end(page: LivePage, display: Display) -> None:
    """Say what becomes of a page when its search has ended."""
    page.begin()  # a run that had spent its budget was never followed
    if page.is_served():
        _say(display, f"live page: {page.address.url} stays for as long as it is open")
    else:
        _say(display, f"the live page has ended: see {page.log}")


def _say(display: Display, line: str) -> None:
    from rich.text import Text

    display.console.print(Text(line), soft_wrap=True)
