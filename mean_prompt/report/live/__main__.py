"""``python -m mean_prompt.report.live``: serve a run's page, as a process of its own.

Begun by ``search --live``. It says how that went by its exit code, and goes on in the background.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mean_prompt.report.live.place import held_place
from mean_prompt.report.live.state import GRACE, Need
from mean_prompt.system import Address, RunError

if TYPE_CHECKING:
    from mean_prompt.report.live.server import LiveServer

#: Seconds between two looks whether the server is still needed.
_PAUSE: Final = 1.0
#: How far this process stands back for the search.
_NICENESS: Final = 10


def main() -> int:
    """Begin to serve in a process that is left behind; return 0 where it does."""
    parser = argparse.ArgumentParser(prog="python -m mean_prompt.report.live", description=__doc__)
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("--socket", type=int, required=True, help="a descriptor that listens")
    parser.add_argument("--host", required=True, help="what the socket was bound to")
    parser.add_argument("--grace", type=float, default=GRACE, help="seconds to serve unasked")
    asked = parser.parse_args()
    bound = socket.socket(fileno=asked.socket)
    ready, done = os.pipe()
    if os.fork():
        os.close(done)
        return 0 if os.read(ready, 1) else 1
    os.close(ready)
    address = Address(asked.host, bound.getsockname()[1])
    try:
        _serve(asked.run, bound, address, asked.grace, done)
    except BlockingIOError:
        print(f"{asked.run} has a live page already", file=sys.stderr)  # noqa: T201
        return RunError.exit_code
    return 0


def _serve(run: Path, bound: socket.socket, address: Address, grace: float, done: int) -> None:
    """Serve a run's page until nobody needs it.

    Args:
        run: the folder.
        bound: a socket that listens.
        address: where.
        grace: see :data:`GRACE`.
        done: a pipe that is told when the run has its server.
    """
    os.nice(_NICENESS)
    with held_place(run, address):
        os.write(done, b"1")
        os.close(done)
        # What makes the page comes after it: the search waits for no more than that.
        server = _server(run, bound, address)
        server.serve_while(Need(run, grace), min(_PAUSE, grace / 4))


def _server(run: Path, bound: socket.socket, address: Address) -> LiveServer:
    from mean_prompt.report.live.follow import Follower
    from mean_prompt.report.live.server import LiveServer
    from mean_prompt.report.page.page import Parts, policy, render
    from mean_prompt.report.page.run_report import HEADINGS, run_parts

    empty = Parts(
        title=f"mean-prompt: {run.resolve().name}", headings=HEADINGS, sections={}, figures={}
    )
    return LiveServer(
        bound,
        address,
        Follower(run, run_parts, empty),
        lambda parts: render(parts, live=True),
        policy(live=True),
    )


if __name__ == "__main__":
    sys.exit(main())
