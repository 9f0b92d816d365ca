"""Members in processes of this machine, forked from one that has imported all that they need.

The driver starts the *nursery*, a fresh Python process, which imports torch and the encoder's
libraries while the driver does the same, and takes the objects that the driver gives. A member is
a fork of it: it begins in milliseconds, and shares the memory of these objects (a model's weights,
a vocabulary's vectors) with the others, copied on write. Nursery and members hold a pipe from the
driver, and end when it closes, however the driver ends.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, Final, NoReturn, Self

from mean_prompt.system.errors import InputError, RunError
from mean_prompt.system.team import Holder, LostError, Luggage, Member

#: One thread a process: threads that wait for each other spin, and slow each other down wherever
#: more of them than cores want to run.
_ENVIRONMENT: Final = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
#: The nursery finds modules where the driver does, and does not run the driver's main module.
_PROGRAM: Final = """
import ast, sys
sys.path[:], *arguments = map(ast.literal_eval, sys.argv[1:])
from mean_prompt.system.nursery import main
main(*arguments)
"""


class Nursery:
    """Starts and ends members that are processes of this machine, one thread each.

    Args:
        modules: imported in advance, while the driver does other work.

    Raises:
        InputError: this system cannot fork a process.
    """

    def __init__(self, modules: Sequence[str] = ()) -> None:
        if not hasattr(os, "fork"):
            raise InputError(
                "several climbers need a system that can fork a process: found "
                f"{sys.platform}; give --workers 1"
            )
        ours, theirs = socket.socketpair()
        alive, ours_alive = os.pipe()
        self._alive: int | None = ours_alive
        fds = theirs.fileno(), alive
        self._process = subprocess.Popen(  # noqa: S603 - this very Python
            [sys.executable, "-c", _PROGRAM, *map(repr, (sys.path, *fds, [*modules]))],
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            env=os.environ | _ENVIRONMENT,
        )
        theirs.close()
        os.close(alive)
        self._socket = ours.dup()
        self._control = Connection(ours.detach())
        self._luggage = Luggage()
        self._given: list[Future[None]] = []
        # The nursery answers one request at a time, and the first after its imports.
        self._requests = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def give(self, name: str, thing: object) -> None:
        """Give an object to every member that is made from now on."""
        packed = self._luggage.pack(name, thing)
        self._given.append(self._requests.submit(self._request, "hold", name, packed))

    def member(self) -> Member:
        """Make a member, which is ready as soon as the nursery is."""
        ours, theirs = socket.socketpair()
        forked = self._requests.submit(self._fork, theirs, [*self._given])
        forked.add_done_callback(lambda _: theirs.close())
        return _Process(self, ours, forked)

    def close(self) -> None:
        """End the nursery and with it all members; a second time nothing happens."""
        if self._alive is None:
            return
        os.close(self._alive)
        self._alive = None
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._requests.shutdown(cancel_futures=True)
        self._control.close()
        self._socket.close()

    def kill(self, pid: int) -> None:
        """End a member, also one that is frozen."""
        self._requests.submit(self._request, "kill", pid)

    def _fork(self, theirs: socket.socket, given: Sequence[Future[None]]) -> int:
        for done in given:
            done.result()  # raises what went wrong
        pid: int = self._request("fork", fd=theirs.fileno())
        return pid

    def _request(self, *request: object, fd: int | None = None) -> Any:  # noqa: ANN401
        try:
            self._control.send_bytes(pickle.dumps(request))
            if fd is not None:
                socket.send_fds(self._socket, [b"."], [fd])
            outcome = self._control.recv_bytes()
        except (EOFError, OSError) as error:
            raise RunError(
                "the process that climbers are forked from must stay alive: it died; free some "
                "memory, or give fewer --workers; --resume continues"
            ) from error
        return _value(outcome)


class _Process:
    """A member in a process of its own."""

    def __init__(self, nursery: Nursery, ours: socket.socket, forked: Future[int]) -> None:
        self._nursery = nursery
        self._connection = Connection(ours.detach())
        self._forked = forked
        self._calls = ThreadPoolExecutor(1)

    def call(self, name: str, method: str, *args: object) -> Future[Any]:
        """Call a method of the object of that name."""
        return self._calls.submit(self._ask, name, method, args)

    def is_ready(self) -> bool:
        """Return whether the process was forked."""
        return self._forked.done()

    def kill(self) -> None:
        """End the process at once, also if it is frozen."""
        self._forked.add_done_callback(self._end)
        # A call that waits for an answer ends as the process does.
        self._calls.submit(self._connection.close)
        self._calls.shutdown(wait=False)

    def _end(self, forked: Future[int]) -> None:
        if not forked.cancelled() and forked.exception() is None:
            with suppress(RuntimeError):  # the nursery was closed, and its members with it
                self._nursery.kill(forked.result())

    def _ask(self, name: str, method: str, args: tuple[object, ...]) -> Any:  # noqa: ANN401
        self._forked.result()
        try:
            self._connection.send_bytes(pickle.dumps((name, method, args)))
            outcome = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise LostError("died") from error
        return _value(outcome)


def main(control_fd: int, alive: int, modules: Sequence[str]) -> None:
    """Run the nursery: import modules, then keep objects and fork members as the driver asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver
    _end_with_driver(alive)
    for module in modules:
        import_module(module)
    holder = Holder()
    with (
        Connection(control_fd) as control,
        socket.socket(fileno=os.dup(control_fd)) as channel,
        suppress(EOFError),
    ):
        requests: dict[str, Callable[..., Any]] = {
            "hold": holder.hold,
            "kill": _kill,
            "fork": partial(_fork, channel, control, alive, holder),
        }
        while True:
            kind, *args = pickle.loads(control.recv_bytes())  # noqa: S301 - from the driver
            control.send_bytes(_outcome(requests[kind], args))


def _outcome(function: Callable[..., Any], args: Sequence[object]) -> bytes:
    """Call a function; return whether it succeeded, with its value or what it raised, pickled."""
    try:
        outcome = True, function(*args)
    except Exception as error:  # noqa: BLE001 - raised in the driver
        outcome = False, error
    return pickle.dumps(outcome, pickle.HIGHEST_PROTOCOL)


def _value(outcome: bytes) -> Any:  # noqa: ANN401
    """Return the value in what :func:`_outcome` returned, or raise what was raised."""
    succeeded, value = pickle.loads(outcome)  # noqa: S301 - from a process that the driver began
    if not succeeded:
        raise value
    return value


def _fork(channel: socket.socket, control: Connection, alive: int, holder: Holder) -> int:
    """Fork a member that serves the connection whose descriptor comes next; return its number."""
    _, [connection], _, _ = socket.recv_fds(channel, 1, 1)
    pid = os.fork()
    if pid == 0:
        channel.close()
        control.close()
        _end_with_driver(alive)
        _serve(Connection(connection), holder)
    os.close(connection)
    return pid


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _serve(connection: Connection, holder: Holder) -> NoReturn:
    """Answer calls until the driver closes the connection."""
    while True:
        try:
            call = pickle.loads(connection.recv_bytes())  # noqa: S301 - from the driver
        except (EOFError, OSError):
            os._exit(0)
        outcome = _outcome(holder.call, call)
        try:
            connection.send_bytes(outcome)
        except OSError:
            os._exit(0)


def _end_with_driver(alive: int) -> None:
    """End this process at once when the driver's end of a pipe closes."""

    def watch() -> None:
        os.read(alive, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
