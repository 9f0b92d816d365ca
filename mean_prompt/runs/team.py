"""Climbers in processes of their own on this machine: starting them, calling them, replacing them.

A process of the pool imports and loads its model while the driver reads the corpus. It ends with
the driver, however that ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from typing import Any, Final, Protocol

from mean_prompt.system import InputError, RunError

#: Modules that the process from which climbers are forked imports once for all of them.
_PRELOADED: Final = ["torch", "sentence_transformers", "mean_prompt.runs.climbing"]
#: Seconds without an answer, over those that a call may take, after which a climber is replaced.
_GRACE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A climber's answer to a call: ``value``, or ``lost`` if its process died or hangs."""

    climber: int
    method: str
    value: Any = None
    lost: str | None = None


class Team(Protocol):
    """Climbers that are called by number; a call does not wait for its answer."""

    size: int

    def call(self, climber: int, method: str, *args: Any, seconds: float) -> None:
        """Call a method of an idle climber that should take at most some seconds."""

    def replies(self, timeout: float) -> Iterator[Reply]:
        """Yield the answers that are there, after waiting for at least one of them."""

    def replace(self, climber: int) -> None:
        """Begin a new process in the place of a lost one."""

    def close(self) -> None:
        """End all climbers at once."""


@dataclass(slots=True)
class _Member:
    process: multiprocessing.process.BaseProcess
    connection: Connection
    method: str | None = None
    due: float = field(default=float("inf"))


class LocalTeam:
    """Climbers in processes of this machine, one thread each.

    Args:
        size: number of climbers.
        make: returns the object whose methods are called; runs in each process.
    """

    def __init__(self, size: int, make: Callable[[], Any]) -> None:
        self.size = size
        self._make = make
        self._context = _context()
        self._members = [self._begun() for _ in range(size)]

    def call(self, climber: int, method: str, *args: Any, seconds: float) -> None:
        """Call a method of an idle climber that should take at most some seconds."""
        member = self._members[climber]
        member.method, member.due = method, time.monotonic() + seconds + _GRACE
        try:
            member.connection.send((method, args))
        except OSError:
            member.due = 0.0  # its process is dead: the next look at the replies says so

    def replies(self, timeout: float) -> Iterator[Reply]:
        """Yield the answers that are there, after waiting for at least one of them."""
        busy = [member for member in self._members if member.method is not None]
        ready = set(wait([member.connection for member in busy], timeout))
        for number, member in enumerate(self._members):
            if member.method is None:
                continue
            if member.connection in ready:
                yield self._answer(number, member)
            elif time.monotonic() > member.due:
                yield self._lost(number, member, "does not answer")

    def replace(self, climber: int) -> None:
        """Begin a new process in the place of a lost one."""
        self._end(self._members[climber])
        self._members[climber] = self._begun()

    def close(self) -> None:
        """End all climbers at once."""
        for member in self._members:
            self._end(member)

    def _answer(self, number: int, member: _Member) -> Reply:
        method, member.method = member.method, None
        assert method is not None
        try:
            failed, value = member.connection.recv()
        except (EOFError, OSError):
            return self._lost(number, member, f"died ({member.process.exitcode})", method)
        if failed:
            raise value
        return Reply(number, method, value)

    def _lost(
        self, number: int, member: _Member, why: str, method: str | None = None
    ) -> Reply:
        method, member.method = method or member.method, None
        assert method is not None
        return Reply(number, method, lost=why)

    def _begun(self) -> _Member:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._make), daemon=True)
        process.start()
        theirs.close()
        return _Member(process, ours)

    @staticmethod
    def _end(member: _Member) -> None:
        member.process.kill()  # also one that is stopped
        member.connection.close()
        member.process.join()


def _context() -> BaseContext:
    """Return the means of starting processes: forked from one that has imported all, or spawned."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def _serve(connection: Connection, make: Callable[[], Any]) -> None:
    """Answer calls until the driver closes the connection or ends."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver
    threading.Thread(target=_end_with_driver, daemon=True).start()
    torch.set_num_threads(1)
    climber = make()
    while True:
        try:
            method, args = connection.recv()
        except EOFError:
            return
        try:
            answer = False, getattr(climber, method)(*args)
        except (InputError, RunError) as error:
            answer = True, error
        connection.send(answer)


def _end_with_driver() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
