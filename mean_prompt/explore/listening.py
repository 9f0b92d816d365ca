"""Where the explorer listens; asked before anything heavy is loaded."""

from __future__ import annotations

import socket


def bind(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens at an address; at a free port where none is given.

    Raises:
        OSError: the address is not to be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port or 0))
        taken.listen(128)
    except OSError:
        taken.close()
        raise
    return taken
