"""Members on a Ray cluster, each an actor: a process with CPUs, or a GPU, of its own.

Actors begin, and import what they need, as soon as the cluster is joined. Objects are packed, and
put into Ray's object store, which copies them to a machine once for all its actors. An actor whose
process or machine dies is not started again by Ray: its team replaces it. This module needs Ray, an
optional extra.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from mean_prompt.system.cluster import LOCAL, Cluster, plan_actors, unreachable
from mean_prompt.system.errors import RunError
from mean_prompt.system.team import LostError, Member, call

#: Seconds after which an actor that is not ready is reported: to start one, and to import torch
#: and the encoder's libraries in it, takes about ten on a busy machine.
_WAITING: Final = 30.0


class RayPlacement:
    """Makes members that are actors of a Ray cluster, which it joins, or starts on this machine.

    Args:
        device: of the members: ``cpu``, ``cuda`` or ``mps``, or ``auto``, GPUs if there are any.
        cpus: CPUs, also torch's threads, of a member without a GPU. Default: equal shares.
        modules: imported by members in advance, while the driver does other work.
        notify: called with a line for the user if the cluster has no room for a member.

    Attributes:
        plan: the number of members that the cluster has room for, or that were asked for, and
            what each has.
        notify: as given; another function may be set.

    Raises:
        InputError: the cluster cannot be joined, or is too small.
    """

    def __init__(
        self,
        cluster: Cluster,
        device: str = "cpu",
        *,
        cpus: int | None = None,
        modules: Sequence[str] = (),
        notify: Callable[[str], object] = warnings.warn,
    ) -> None:
        self.notify = notify
        self._modules = tuple(modules)
        self._things: dict[str, object] = {}
        self._packed: Any = None
        self._unused: list[Any] = []
        self._joined = _join(cluster.address)
        try:
            self.plan = plan_actors(_nodes(), cluster.workers, device, cpus)
        except BaseException:
            self.close()
            raise
        self._kind: Any = ray.remote(
            num_cpus=self.plan.cpus,
            num_gpus=self.plan.gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )(_Actor)
        self._unused += [self._begin() for _ in range(self.plan.actors)]

    def give(self, name: str, thing: object) -> None:
        """Give an object to every member that is made from now on."""
        self._things[name] = thing
        try:
            self._packed = ray.put(_packed(self._things))
        except RayError as error:
            raise RunError(
                f"the cluster must have room for the {name}: {_last_line(error)}; free some memory "
                "and disk there"
            ) from error

    def member(self) -> Member:
        """Make a member, in the process of an earlier one that was ended if there is one."""
        actor = self._unused.pop() if self._unused else self._begin()
        held = actor.hold.remote(self._packed)
        return _ActorMember(actor, held, self._unused.append, self._tell)

    def close(self) -> None:
        """End all members that were, and leave the cluster if this placement joined it."""
        while self._unused:
            ray.kill(self._unused.pop())
        self._packed = None
        if self._joined:
            self._joined = False
            ray.shutdown()

    def _tell(self, line: str) -> None:
        self.notify(line)

    def _begin(self) -> Any:  # noqa: ANN401
        return self._kind.remote(self.plan.cpus, self._modules)


class _ActorMember:
    """A member in an actor of its own."""

    def __init__(
        self,
        actor: Any,  # noqa: ANN401 - Ray's handles have no type
        held: Any,  # noqa: ANN401
        leave: Callable[[Any], None],
        notify: Callable[[str], object],
    ) -> None:
        self._actor = actor
        self._leave = leave
        self._notify = notify
        self._held: Future[None] = held.future()
        self._last: Future[Any] | None = None
        self._noted_at = time.monotonic() + _WAITING

    def call(self, name: str, method: str, *args: object) -> Future[Any]:
        """Call a method of the object of that name."""
        answer: Future[Any] = Future()
        self._last = answer
        # Pickled here: arrays that Ray itself hands over cannot be written to.
        reference = self._actor.call.remote(name, method, _packed(args))
        reference.future().add_done_callback(lambda done: _pass_on(done, answer))
        return answer

    def is_ready(self) -> bool:
        """Return whether the actor has begun and has unpacked all objects."""
        if self._held.done():
            return True
        if time.monotonic() > self._noted_at:
            self._noted_at = float("inf")
            self._notify(
                f"the cluster has had no room for a worker for {_WAITING:.0f} s: the others go on "
                "without it until there is"
            )
        return False

    def kill(self) -> None:
        """End the actor at once; one that has answered all calls is kept for the next member."""
        last = self._last
        if last is None or (last.done() and not isinstance(last.exception(), LostError)):
            # Its process has imported all that the next member needs, which takes seconds.
            self._leave(self._actor)
        else:
            ray.kill(self._actor)


class _Actor:
    """Ray's side of a member: holds objects and calls their methods."""

    def __init__(self, cpus: int, modules: Sequence[str]) -> None:
        # Before the tokenizers are imported, which read it once.
        os.environ["RAYON_NUM_THREADS"] = str(cpus)
        self._cpus = cpus
        self._things: dict[str, Any] = {}
        self._fault: RunError | None = None
        for module in modules:
            import_module(module)

    def hold(self, packed: bytes) -> None:
        """Unpack objects, in place of those held before; what fails is raised by calls."""
        import torch

        torch.set_num_threads(self._cpus)
        self._things, self._fault = {}, None
        try:
            self._things = pickle.loads(packed)  # noqa: S301 - from the driver
        except Exception as error:  # noqa: BLE001 - of any package's objects
            self._fault = RunError(
                "the cluster's machines must have the same packages as this one: one cannot unpack "
                f"what it is sent: {type(error).__name__}: {_last_line(error)}; install them there"
            )

    def call(self, name: str, method: str, args: bytes) -> bytes:
        """Call a method of an object and return its answer; both are pickled."""
        if self._fault is not None:
            raise self._fault
        return _packed(call(self._things, name, method, pickle.loads(args)))  # noqa: S301


def _packed(thing: object) -> bytes:
    return pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)


def _last_line(error: BaseException) -> str:
    """Return the last line of an error's message, without its full stop."""
    lines = [line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _pass_on(done: Future[Any], answer: Future[Any]) -> None:
    """Complete a call's future: with its value, what the method raised, or a LostError."""
    error = done.exception()
    if error is None:
        answer.set_result(pickle.loads(done.result()))  # noqa: S301 - from our actor
    elif isinstance(error, RayTaskError) and not isinstance(error.cause, RayError):
        error.cause.__cause__ = error  # which has the actor's traceback
        answer.set_exception(error.cause)
    elif isinstance(error, RayActorError) and error.actor_init_failed:
        answer.set_exception(
            RunError(
                "the cluster's machines must have mean-prompt installed as this one: an actor "
                f"cannot begin: {_last_line(error)}; install it there"
            )
        )
    elif isinstance(error, RayError):
        answer.set_exception(LostError("died"))
    else:
        answer.set_exception(error)


def _join(address: str) -> bool:
    """Join a Ray cluster, or start one here; return false if this process is in one already."""
    if ray.is_initialized():
        return False
    options: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    with _undisturbed():
        try:
            ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise unreachable(address, _last_line(error)) from error
    return True


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Restore the SIGTERM handler, which Ray replaces, and silence standard error meanwhile.

    Ray's C++ part writes to standard error itself, before it can be configured not to.
    """
    before = signal.getsignal(signal.SIGTERM)
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _nodes() -> list[tuple[int, int]]:
    """Return the numbers of CPUs and GPUs of each live machine of the Ray cluster."""
    found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    alive = [node["Resources"] for node in found if node["Alive"]]
    return [(int(has.get("CPU", 0)), int(has.get("GPU", 0))) for has in alive]
