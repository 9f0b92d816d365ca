"""The live page as the search sees it: found where it still runs, begun where it does not."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from mean_prompt.report.live.place import Server, has_server, last_server, log_of
from mean_prompt.report.live.state import GRACE
from mean_prompt.runs import RECIPE
from mean_prompt.system import LOOPBACK, Address, InputError, RunError, unwritable

#: Seconds that a server has to answer, which may take reading the run.
_ANSWER: Final = 30.0


class LivePage:
    """A run's live page.

    It is a context: at its end the page stays, and what was not begun is let go.

    Args:
        run: the run's folder, which need not be there yet.
        asked: where it is to listen; on this machine alone where left out, at the port that the
            run's page had before or else at a free one.

    Attributes:
        address: where it listens.
        log: where its server says what went wrong.
        moved_from: where a page of this run that is still open in a browser looks for it, if that
            is taken.

    Raises:
        InputError: it cannot listen there, or the run has a page elsewhere, or one that hangs.
    """

    def __init__(self, run: Path, asked: Address | None = None) -> None:
        if not hasattr(os, "fork"):
            raise InputError("--live needs a system of the Unix kind: leave it out here")
        self._run = run.absolute()
        self.log = log_of(self._run)
        self._bound: socket.socket | None = None
        self.moved_from: Address | None = None
        if found := self._running(asked):
            self.address = found
            return
        last = last_server(self._run)
        port = last.address.port if last else 0
        if asked is not None and asked.port:
            self.address, self._bound = asked.listen()
            return
        wanted = Address(asked.host if asked else LOOPBACK, port)
        try:
            self.address, self._bound = wanted.listen()
        except InputError:
            if not port:
                raise
            self.moved_from = wanted
            self.address, self._bound = Address(wanted.host).listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._let_go()

    def has_run(self) -> bool:
        """Tell whether there is a run to show."""
        return (self._run / RECIPE).exists()

    def begin(self, *, grace: float = GRACE) -> None:
        """Begin to serve, where nobody does yet; the run's folder must be there.

        Args:
            grace: seconds that it is served after the search's end while nobody asks for it.

        Raises:
            RunError: the server cannot begin.
        """
        if self._bound is None:
            return
        try:
            code = self._process(self._bound, grace).wait()
        except OSError as error:
            raise unwritable(self.log.parent, error) from error
        self._let_go()
        if code:
            lines = self.log.read_text("utf-8", "replace").splitlines() or [f"exit code {code}"]
            raise RunError(
                f"the live page cannot begin: {lines[-1]}; see {self.log}, or leave --live out"
            )

    def _process(self, bound: socket.socket, grace: float) -> subprocess.Popen[bytes]:
        """Start the process that leaves the server behind, and ends when that is done."""
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("wb") as file:
            return subprocess.Popen(  # noqa: S603 - this very program
                [
                    *(sys.executable, "-m", "mean_prompt.report.live", str(self._run)),
                    *("--socket", str(bound.fileno()), "--host", self.address.host),
                    *("--grace", str(grace)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                pass_fds=[bound.fileno()],
                # Ctrl-C is for the search; the page outlives it.
                start_new_session=True,
            )

    def is_served(self) -> bool:
        """Tell whether the server is there."""
        return has_server(self._run)

    def _running(self, asked: Address | None) -> Address | None:
        """Return where the run's server is; ``None`` where there is none."""
        if not has_server(self._run):
            return None
        server = last_server(self._run)
        if server is None or not _answers(server):
            pid = f"process {server.pid}" if server else "the process that holds its folder"
            raise InputError(
                f"a run has one live page: that of {self._run} does not answer; end {pid}, or "
                "leave --live out"
            )
        found = server.address
        if asked and (asked.host != found.host or asked.port not in {0, found.port}):
            raise InputError(
                f"a run has one live page: that of {self._run} is at {found.url} already; leave "
                f"--live-at out, or end process {server.pid} first"
            )
        return found

    def _let_go(self) -> None:
        if self._bound is not None:
            self._bound.close()
            self._bound = None


def _answers(server: Server) -> bool:
    """Tell whether a server answers, which then stays for a while even if nobody else asks."""
    url = server.address.url.removeprefix("http://").removesuffix("/")
    connection = http.client.HTTPConnection(url, timeout=_ANSWER)
    try:
        connection.request("HEAD", "/parts.json")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True
