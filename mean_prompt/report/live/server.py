"""The server: a run's page and its parts, to this machine alone unless it was asked otherwise."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from mean_prompt.report.live.follow import Follower
from mean_prompt.report.page.page import Parts
from mean_prompt.system import Address

#: Seconds after which a silent connection is closed.
_SILENCE: Final = 30.0
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class LiveServer(ThreadingHTTPServer):
    """Serves one run.

    Args:
        bound: a socket that listens.
        address: where.
        follower: says what to show.
        render: makes the page of its parts.
        policy: the content security policy.
    """

    daemon_threads = True

    def __init__(
        self,
        bound: socket.socket,
        address: Address,
        follower: Follower,
        render: Callable[[Parts], str],
        policy: str,
    ) -> None:
        super().__init__((address.host, address.port), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = bound
        self.address = address
        self.follower = follower
        self._render = render
        self._guard = threading.Lock()
        self._version = ""
        self._page = b""
        self.policy = policy
        #: When the page was last asked for, by ``time.monotonic``.
        self.asked = time.monotonic()

    def page(self) -> bytes:
        """Return the page, rendered where it has changed."""
        shown = self.follower.latest()
        with self._guard:
            if shown.version != self._version:
                # A text of a file may hold half a surrogate pair, which no encoding has.
                self._page = self._render(shown.parts).encode("utf-8", "replace")
                self._version = shown.version
            return self._page

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - inherited
        """Log what went wrong, but for browsers that went away."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    def serve_while(self, is_needed: Callable[[float], bool], pause: float) -> None:
        """Serve until nobody needs it.

        Args:
            is_needed: told when the page was last asked for, says whether to go on.
            pause: seconds between two times that it is asked.
        """
        thread = threading.Thread(target=self.serve_forever, daemon=True)
        thread.start()
        try:
            while is_needed(self.asked):
                time.sleep(pause)
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: LiveServer
    protocol_version = "HTTP/1.1"
    timeout = _SILENCE

    def do_GET(self) -> None:
        """Answer a request."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer a request for the headers alone."""
        self._answer()

    def _answer(self) -> None:
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
        """End the headers with those that all answers have."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Security-Policy", self.server.policy)
        super().end_headers()

    def version_string(self) -> str:
        """Return what the server calls itself."""
        return "mean-prompt"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - as inherited
        """Log no requests."""
