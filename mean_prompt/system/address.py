"""The network address (host and port) at which a live web page of a run is served."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from dataclasses import dataclass, replace
from typing import Final, Self

from mean_prompt.system.errors import InputError
from mean_prompt.system.text import preview

#: Only this machine can reach this address.
LOOPBACK: Final = "127.0.0.1"
LIVE_AT: Final = "--live-at"
#: All interfaces of a machine, and the address at which it reaches itself there.
_WILDCARDS: Final = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 - only where it is asked for
_LOCAL: Final = frozenset({LOOPBACK, "localhost", "::1"})
_PORT: Final = re.compile(r"[0-9]{1,5}")
_FORM: Final = re.compile(
    r"(\[[0-9a-f:.]+\]|[a-z0-9][a-z0-9.-]*)(?::([0-9]{1,5}))?", re.IGNORECASE | re.ASCII
)
_MOST_PORT: Final = 65535
_WHY: Final = {
    errno.EADDRINUSE: "is taken; give another port, or none for a free one",
    errno.EADDRNOTAVAIL: "is not this machine's; give an address of its own",
    errno.EACCES: "may not be used by you; give a port above 1023",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Host and port of this machine to serve a web page at.

    Attributes:
        host: a name or an IP address, an IPv6 one without brackets.
        port: port number; 0 stands for any free port.
    """

    host: str = LOOPBACK
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse an address given as ``HOST:PORT``, as a port alone, or as a host alone."""
        host, port = LOOPBACK, "0"
        if _is_ip(text):
            host = text
        elif _PORT.fullmatch(text):
            port = text
        elif match := _FORM.fullmatch(text):
            host, port = match[1].lower(), match[2] or "0"
        else:
            raise _malformed(text)
        if int(port) > _MOST_PORT or (host.startswith("[") and not _is_ip(host[1:-1])):
            raise _malformed(text)
        host = host.strip("[]")
        return cls(host, int(port))

    @property
    def url(self) -> str:
        """URL at which a browser on this machine opens the page."""
        host = _WILDCARDS.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach the address."""
        return self.host in _LOCAL

    def listen(self, option: str = LIVE_AT) -> tuple[Self, socket.socket]:
        """Open a listening socket; return the address, its port filled in, and the socket.

        Raises:
            InputError: the port is taken, or the host is not this machine.
        """
        try:
            family, _, _, _, where = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            bound = socket.create_server((str(where[0]), self.port), family=family)
        except (OSError, UnicodeError) as error:
            found = f"{self.host}, port {self.port}" if self.port else self.host
            code = error.errno if isinstance(error, OSError) else None
            why = _WHY.get(code or 0, "cannot be listened at; give an address of this machine")
            raise InputError(
                f"{option} must be an address that is free here: {found} {why}"
            ) from error
        return replace(self, port=bound.getsockname()[1]), bound

    def admits(self, header: str | None) -> bool:
        """Return whether an HTTP request's Host header names this server.

        A site whose name is made to point here (DNS rebinding) is refused: its requests carry its
        own name. A server on all interfaces admits any IP address, and this machine's name.
        """
        match = _FORM.fullmatch(header or "")
        if match is None:
            return False
        host = match[1].strip("[]").lower()
        if host in _LOCAL or host == self.host:
            return True
        return self.host in _WILDCARDS and (_is_ip(host) or host == socket.gethostname().lower())


def _is_ip(text: str) -> bool:
    try:
        return "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _malformed(text: str) -> InputError:
    return InputError(
        f"{LIVE_AT} must be HOST:PORT, or a port from 0 (a free one) to {_MOST_PORT}: found "
        f"{preview(text)}; give one such as 127.0.0.1:8000 or [::1]:8000"
    )
