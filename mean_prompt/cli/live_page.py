"""The options of ``search`` for a live page, and the process that serves it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mean_prompt.cli.options import option

if TYPE_CHECKING:
    from mean_prompt.report import Display
    from mean_prompt.system import Address, Listener, ProgressEvent

Live = Annotated[
    bool,
    typer.Option(
        "--live",
        help="Serve the run's page while it runs, to this machine alone; the address is printed.",
    ),
]
LiveAt = Annotated[
    str | None,
    option(
        metavar="[HOST:]PORT",
        help="--live, at this address. Default: 127.0.0.1, and the port that the run's page had "
        "before, else a free one.",
    ),
]

#: How long a page is served after the search, unless it is open. A browser lets a hidden page ask
#: once a minute.
IDLE: Final = "5m"
_PREFIX: Final = "live page: "
#: Servers outlive this process; Python warns of a child whose object is forgotten before its end.
_SERVERS: Final[list[subprocess.Popen[str]]] = []


class BackgroundPage:
    """A run's live page, served by ``mean-prompt live`` in a process of its own.

    The run's folder need not be there yet. An address that was asked for is refused if it is
    taken, or if the run's page is served elsewhere.
    """

    def __init__(self, run: Path, asked: Address | None) -> None:
        from mean_prompt.report import running_server
        from mean_prompt.system import InputError

        self._run = run.absolute()
        self._asked = asked
        self._is_started = False
        if asked is None:
            return
        server = running_server(self._run)
        if server is None:
            asked.listen()[1].close()
        elif (asked.host, asked.port or server.address.port) != (
            server.address.host,
            server.address.port,
        ):
            raise InputError(
                f"a run has one live page: that of {run} is at {server.address.url} already; "
                f"leave --live-at out, or end process {server.pid} first"
            )

    def start(self) -> Iterator[str]:
        """Start the server once the run's folder is there, and yield lines for the user."""
        from mean_prompt.report import log_of, running_server
        from mean_prompt.runs import RECIPE

        if self._is_started or not (self._run / RECIPE).exists():
            return
        self._is_started = True
        if server := running_server(self._run):
            yield f"{_PREFIX}{server.address.url}"
            return
        log = log_of(self._run)
        process = self._process(log)
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                yield line.rstrip("\n")
                if line.startswith(_PREFIX):
                    return
        log_lines = log.read_text("utf-8", "replace").splitlines() or ["no reason was given"]
        yield f"the live page cannot start: {log_lines[-1]}; see {log}"

    def end(self) -> Iterator[str]:
        """Yield lines on what becomes of the page after the search."""
        from mean_prompt.report import log_of, running_server

        yield from self.start()  # a run that had spent its budget had no progress
        if server := running_server(self._run):
            yield f"{_PREFIX}{server.address.url} stays until it was not open for {IDLE}"
        else:
            yield f"the live page has ended: see {log_of(self._run)}"

    def _process(self, log: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "mean_prompt", "live", str(self._run), "--idle", IDLE]
        if self._asked is not None:
            command += ["--host", self._asked.host]
            command += ["--port", str(self._asked.port)] if self._asked.port else []
        log.parent.mkdir(exist_ok=True)
        with log.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603 - this very program
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                # Ctrl-C in the terminal is for the search alone.
                start_new_session=True,
            )
        _SERVERS.append(process)
        return process


@contextmanager
def live_page(run: Path, display: Display, *, live: bool, at: str | None) -> Iterator[Listener]:
    """Give the listener of a search, which also starts the live page if one is asked for.

    The display shows the page's address however quiet it is.
    """
    if not live and at is None:
        yield display
        return
    from rich.text import Text

    from mean_prompt.system import Address

    page = BackgroundPage(run, None if at is None else Address.parse(at))

    def say(lines: Iterator[str]) -> None:
        for line in lines:
            display.console.print(Text(line), soft_wrap=True)

    def listen(event: ProgressEvent) -> None:
        say(page.start())
        display(event)

    yield listen
    say(page.end())
