"""The web server of a run's live page, reachable from this machine only unless configured."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from mean_prompt.report.live.follow import Follower
from mean_prompt.report.live.place import PageServer, last_server
from mean_prompt.report.page.page import policy, render
from mean_prompt.runs import LIVE, RECIPE
from mean_prompt.system import (
    Address,
    FolderLock,
    InputError,
    is_held,
    os_errors,
    path_exists,
    unwritable,
)

#: Seconds without data after which a connection is closed.
_SILENCE: Final = 30.0
#: Seconds between two checks whether the server is still needed.
_CHECK: Final = 1.0
_OPTIONS: Final = "--host and --port"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class LiveServer(ThreadingHTTPServer):
    """Web server of the live page of one run.

    Attributes:
        asked: time of the last request, by ``time.monotonic``.
        moved_from: the run's former address, if another process has taken its port.
    """

    daemon_threads = True

    def __init__(self, bound: socket.socket, address: Address, follower: Follower) -> None:
        super().__init__((address.host, address.port), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = bound
        self.address = address
        self.follower = follower
        self.asked = time.monotonic()
        self.moved_from: Address | None = None
        self._guard = threading.Lock()
        self._version = ""
        self._page = b""

    def page(self) -> bytes:
        """Return the run's page as HTML, rendered again if its content has changed."""
        shown = self.follower.latest()
        with self._guard:
            if shown.version != self._version:
                # A text of a file may hold half a surrogate pair, which no encoding has.
                self._page = render(shown.parts, live=True).encode("utf-8", "replace")
                self._version = shown.version
            return self._page

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - inherited
        """Log an error in a request, unless a browser closed its connection or timed out."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    def serve(self, run: Path, idle: float | None, check: float = _CHECK) -> None:
        """Answer requests until Ctrl-C, or until the live page is no longer needed.

        It is no longer needed if the run's folder is gone, or if the search ended and the last
        request came ``idle`` seconds ago or earlier (``None``: no limit).
        """
        folder = (run / LIVE).stat().st_ino
        ran = time.monotonic()
        self.timeout = check
        try:
            # Another run may have replaced the folder.
            while (run / LIVE).stat().st_ino == folder:
                if is_held(run):
                    ran = time.monotonic()
                if idle is not None and time.monotonic() - max(ran, self.asked) >= idle:
                    return
                self.handle_request()
        except FileNotFoundError:
            return


@contextmanager
def live_server(run: Path, asked: Address) -> Iterator[LiveServer]:
    """Open the web server of a run's live page, and record its address in the run's folder.

    Port 0 stands for the port that the run's page had before, or a free one if it had none.

    Raises:
        InputError: the folder holds no run, the run has a server, or the address is in use.
        RunError: the folder cannot be written to.
    """
    if not path_exists(run / RECIPE):
        raise InputError(
            f"a live page is of a run's folder: {run} holds no {RECIPE}; name the folder of a run"
        )
    place = run / LIVE
    try:
        place.mkdir(exist_ok=True)
        lock = FolderLock(place)
    except BlockingIOError as error:
        server = last_server(run)
        at = f"at {server.address.url}, served by process {server.pid}" if server else "starting"
        raise InputError(
            f"a run has one live page: that of {run} is {at}; open it, or end it first"
        ) from error
    except OSError as error:
        raise unwritable(place, error) from error
    with lock:
        address, bound, moved_from = _listen(run, asked)
        with LiveServer(bound, address, Follower(run)) as live:
            live.moved_from = moved_from
            with os_errors("a live page's file must be writable", place, "give room"):
                PageServer(address, os.getpid()).record(run)
            yield live


def _listen(run: Path, asked: Address) -> tuple[Address, socket.socket, Address | None]:
    """Return an address, its bound socket, and the page's former address if that is in use."""
    before = last_server(run)
    if asked.port or before is None:
        return *asked.listen(_OPTIONS), None
    wanted = Address(asked.host, before.address.port)
    try:
        return *wanted.listen(_OPTIONS), None
    except InputError:
        return *asked.listen(_OPTIONS), wanted


class _Handler(BaseHTTPRequestHandler):
    server: LiveServer
    protocol_version = "HTTP/1.1"
    timeout = _SILENCE

    def do_GET(self) -> None:
        """Answer a GET or HEAD request for the page or its ``parts.json``."""
        if not self.server.address.admits(self.headers.get("Host")):
            self.send_error(HTTPStatus.FORBIDDEN, "Asked for by another host's name")
            return
        asked = urlsplit(self.path)
        if asked.path not in {"/", "/parts.json"}:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.server.asked = time.monotonic()
        try:
            if asked.path == "/":
                self._send("text/html; charset=utf-8", self.server.page())
            else:
                self._send_parts(parse_qs(asked.query).get("after", [""])[0])
        except FileNotFoundError:
            self.send_error(HTTPStatus.GONE, "The run's folder is gone")

    do_HEAD = do_GET  # noqa: N815 - as inherited

    def _send_parts(self, after: str) -> None:
        shown = self.server.follower.latest()
        if after != shown.version:
            self._send("application/json", shown.data)
            return
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def end_headers(self) -> None:
        """Add the headers that all responses have, such as the security policy, and send all."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Security-Policy", policy(live=True))
        super().end_headers()

    def version_string(self) -> str:
        """Return the ``Server`` header: the program's name without version numbers."""
        return "mean-prompt"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - as inherited
        """Discard the log message of a request."""
