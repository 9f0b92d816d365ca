"""Measure how much a search slows down while its live web page is open in a browser.

    python -m benchmarks.live --budget 10m --out live.json

During one search the page is opened and closed in turn, so that both states meet the same climbs
and load. Evaluations a second are compared. If a browser is named, it opens and draws the page on
this machine; else the page's data are only requested, as often as the page does. While the page is
"closed", the browser is paused.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Final

import numpy as np
import typer

from benchmarks.figures import write_figures
from mean_prompt.api import search
from mean_prompt.cli.live_page import BackgroundPage
from mean_prompt.report import running_server
from mean_prompt.runs import SearchProgress
from mean_prompt.system import Address, InputError

_COMMAND: Final = "python -m benchmarks.live"
_BROWSER_OPTIONS: Final = (
    "--headless=new",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-port=0",
)
#: A program that requests the live page's parts as often as the page itself does.
_ASK: Final = """
import json, sys, time, urllib.request
version = ""
while True:
    with urllib.request.urlopen(f"{sys.argv[1]}parts.json?after={version}") as answer:
        version = json.load(answer)["version"] if answer.status == 200 else version
    time.sleep(1.0)
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """A period of the search in which the live page was open, or closed, and the search's speed.

    Attributes:
        is_open: whether the page was open.
        seconds: the period's length.
        rate: the search's evaluations a second.
    """

    is_open: bool
    seconds: float
    rate: float


class Page:
    """A server of a search's live web page, as ``search --live`` starts it."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._page = BackgroundPage(run, None)

    def begin(self) -> None:
        """Start the page's server, once the run's folder exists."""
        list(self._page.start())

    @property
    def address(self) -> Address:
        """The web address of the live page."""
        server = running_server(self._run)
        assert server is not None
        return server.address

    def end(self) -> float | None:
        """Stop the page's server, and return the CPU seconds that it used, if known."""
        server = running_server(self._run)
        if server is None:
            return None
        spent = _core_seconds(server.pid)
        os.kill(server.pid, signal.SIGTERM)
        return spent


class Turns:
    """A listener of a search's progress that opens and closes its live page in turn.

    Args:
        page: the live page of the search.
        browser: path of the browser that opens the page, or ``None``.
        seconds: length of a turn (a period with the page open, or closed).
        profile: a folder for the browser's files.
    """

    def __init__(self, page: Page, browser: str | None, seconds: float, profile: Path) -> None:
        self._page = page
        self._browser = browser
        self._seconds = seconds
        self._profile = profile
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._take)
        self._steps: list[tuple[float, int]] = []
        #: The time at which each turn began; the page is open in the first.
        self.begun: list[float] = []

    def __call__(self, progress: SearchProgress) -> None:
        """Record the search's progress; at its first step, start the page and the turns."""
        if progress.phase != "searching":
            return
        if not self._steps:
            self._page.begin()
            self._thread.start()
        self._steps.append((time.monotonic(), progress.done))

    def end(self) -> list[Turn]:
        """Close the page, and return the completed turns."""
        self._is_over.set()
        self._thread.join()
        times, done = zip(*self._steps, strict=True)
        whole = [moment for moment in self.begun if moment <= times[-1]]
        reached = np.interp(whole, times, done)
        lengths, spent = np.diff(whole), np.diff(reached)
        return [
            Turn(number % 2 == 0, float(length), float(count / length))
            for number, (length, count) in enumerate(zip(lengths, spent, strict=True))
        ]

    def _take(self) -> None:
        process = subprocess.Popen(  # noqa: S603 - the browser that was named, or ourselves
            self._command(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # Opening a page once is not part of the cost of an open page.
        self._is_over.wait(self._seconds)
        while not self._is_over.is_set():
            is_open = len(self.begun) % 2 == 0
            os.killpg(process.pid, signal.SIGCONT if is_open else signal.SIGSTOP)
            self.begun.append(time.monotonic())
            self._is_over.wait(self._seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _command(self) -> list[str]:
        url = self._page.address.url
        if self._browser is None:
            return [sys.executable, "-c", _ASK, url]
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        return [self._browser, *_BROWSER_OPTIONS, *root, f"--user-data-dir={self._profile}", url]


def main(
    out: Annotated[Path, typer.Option(help="JSON file for the figures.")],
    budget: Annotated[str, typer.Option(help="Of the search.")] = "10m",
    turn: Annotated[float, typer.Option(min=1.0, help="Seconds of a turn.")] = 15.0,
    model: Annotated[str, typer.Option(help="As for search.")] = "all-MiniLM-L6-v2",
    browser: Annotated[
        str | None,
        typer.Option(help="A Chromium to open the page in. Default: the page is only asked for."),
    ] = None,
) -> None:
    """Search over the packaged corpus with the live page open and closed in turn; write speeds."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:
        run = Path(work) / "run"
        page = Page(run)
        turns = Turns(page, browser, turn, Path(work) / "profile")
        search(model=model, budget=budget, out=run, listener=turns)
        taken = turns.end()
        spent = page.end()
    figures = _figures(taken)
    if spent is not None:
        figures["seconds of a core that the server took in all"] = spent
    write_figures(out, _COMMAND, {"turns": [asdict(row) for row in taken], **figures})
    print(json.dumps(figures, indent=2))  # noqa: T201


def _figures(turns: Sequence[Turn]) -> dict[str, object]:
    pairs = list(zip(turns[::2], turns[1::2], strict=False))
    if not pairs:
        raise InputError("the search must last for two turns and more: give a longer --budget")
    rates = {
        name: sum(row.rate * row.seconds for row in rows) / sum(row.seconds for row in rows)
        for name, rows in (("open", turns[::2]), ("closed", turns[1::2]))
    }
    return {
        "pairs": len(pairs),
        "evaluations a second": rates,
        "ratio": rates["open"] / rates["closed"],
        "median ratio of a pair": median(one.rate / other.rate for one, other in pairs),
        "seconds open": sum(row.seconds for row in turns[::2]),
    }


def _core_seconds(pid: int) -> float | None:
    """Return the CPU seconds that a process has used, or ``None`` if the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    typer.run(main)
