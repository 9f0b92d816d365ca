"""Members in processes of this machine, each of one thread.

A forked member begins in milliseconds and shares the memory of all objects that it was given (a
model's weights, a vocabulary's vectors), copied on write, as a DataLoader's workers of PyTorch do.
A spawned one begins as a fresh Python and takes copies: for systems and devices whose libraries do
not survive a fork. All hold a pipe from the driver, and end when it closes, however it ends.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final, Literal, NoReturn

from mean_prompt.system.team import LostError, Member, call, outcome_of, value_of

StartMethod = Literal["fork", "spawn"]

#: Threads that wait for each other spin, and slow each other down wherever more of them than cores
#: want to run.
_ONE_THREAD: Final = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def start_method(device: str) -> StartMethod:
    """Return how a process begins that computes on a device: forked if that is safe."""
    return "fork" if sys.platform == "linux" and device == "cpu" else "spawn"


class Processes:
    """Makes members that are processes of this machine, by one start method."""

    def __init__(self, method: StartMethod = "fork") -> None:
        self._context: Any = multiprocessing.get_context(method)
        self._things: dict[str, object] = {}
        # Nothing is ever written: the other end notices that this one is closed.
        self._alive, self._ours = self._context.Pipe(duplex=False)

    def give(self, name: str, thing: object) -> None:
        """Give an object to every member that is made from now on."""
        self._things[name] = thing

    def member(self) -> Member:
        """Make a member."""
        ours, theirs = self._context.Pipe()
        is_forked = self._context.get_start_method() == "fork"
        things = self._things if is_forked else pickle.dumps(self._things, pickle.HIGHEST_PROTOCOL)
        # A fork has this process's ends of the pipes as well, and would keep them open.
        inherited = [ours, self._ours] if is_forked else []
        process = self._context.Process(
            target=_serve, args=(theirs, self._alive, inherited, things), daemon=True
        )
        process.start()
        theirs.close()
        return _ProcessMember(process, ours)

    def close(self) -> None:
        """Let all members end; a second time nothing happens."""
        self._ours.close()
        self._alive.close()


class _ProcessMember:
    """A member in a process of its own."""

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self._process = process
        self._connection = connection
        self._calls = ThreadPoolExecutor(1)
        self._began = self._calls.submit(self._answer)

    def call(self, name: str, method: str, *args: object) -> Future[Any]:
        """Call a method of the object of that name."""
        return self._calls.submit(self._ask, name, method, args)

    def is_ready(self) -> bool:
        """Return whether the process has all objects."""
        return self._began.done()

    def kill(self) -> None:
        """End the process at once, also if it is frozen."""
        self._process.kill()
        self._process.join()
        # A call that waits for an answer ends as the process does.
        self._calls.submit(self._connection.close)
        self._calls.shutdown(wait=False)

    def _ask(self, name: str, method: str, args: tuple[object, ...]) -> Any:  # noqa: ANN401
        self._began.result()
        try:
            self._connection.send_bytes(pickle.dumps((name, method, args)))
        except OSError as error:
            raise LostError("died") from error
        return self._answer()

    def _answer(self) -> Any:  # noqa: ANN401
        try:
            outcome = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise LostError("died") from error
        return value_of(outcome)


def _serve(
    connection: Connection,
    alive: Connection,
    inherited: Sequence[Connection],
    things: Mapping[str, object] | bytes,
) -> NoReturn:
    """Answer calls until the driver ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for end in inherited:
        end.close()
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
    os.environ.update(_ONE_THREAD)
    import torch

    torch.set_num_threads(1)
    held: Mapping[str, Any] = {}

    def hold() -> None:
        nonlocal held
        held = pickle.loads(things) if isinstance(things, bytes) else things  # noqa: S301

    try:
        connection.send_bytes(outcome_of(hold))
        while True:
            name, method, args = pickle.loads(connection.recv_bytes())  # noqa: S301
            connection.send_bytes(outcome_of(partial(call, held, name, method, args)))
    except (EOFError, OSError):
        os._exit(0)


def _end_with(alive: Connection) -> None:
    """End this process at once when the driver's end of a pipe closes."""
    try:
        alive.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)
