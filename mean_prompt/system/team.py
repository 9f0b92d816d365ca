"""A team of members, each of which computes in a place of its own and is called by method name.

A *placement* says where members live: in this process (:class:`Here`), in processes of this
machine (:class:`~mean_prompt.system.processes.Processes`) or on a Ray cluster. It hands them
objects by name, such as an encoder; a member then calls methods of these objects. A member that
dies or does not answer in time is reported as lost, and can be replaced.
"""

from __future__ import annotations

import math
import pickle
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from mean_prompt.system.errors import RunError

#: Seconds without an answer, over the time that a call should take, after which a member is lost.
PATIENCE: Final = 5.0
#: Times in a row that one member may be lost without an answer in between.
_LOSSES: Final = 3


class LostError(Exception):
    """Raised if a member died, and with it the answer to a call."""


class Member(Protocol):
    """Computes in one place: calls methods of the objects that its placement was given."""

    def call(self, name: str, method: str, *args: object) -> Future[Any]:
        """Call a method of the object of that name; calls are answered in their order.

        The future raises what the method raised, or a :class:`LostError`.
        """

    def is_ready(self) -> bool:
        """Return whether the member has begun to work, so that its time counts."""

    def kill(self) -> None:
        """End the member at once."""


class Placement(Protocol):
    """Makes members, and gives them objects to call."""

    def give(self, name: str, thing: object) -> None:
        """Give an object to every member that is made from now on."""

    def member(self) -> Member:
        """Make a member."""

    def close(self) -> None:
        """End what the placement itself began."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A member's answer to a call: its value, or why the member was ``lost``."""

    member: int
    value: Any = None
    lost: str | None = None


@dataclass(slots=True)
class _Call:
    future: Future[Any]
    seconds: float
    due: float = math.inf


class Team:
    """Members of one placement, called by number; each answers one call at a time.

    Args:
        size: number of members.
        crowding: members that share a core, by which everything takes longer.

    Attributes:
        crowding: at least 1.
    """

    def __init__(self, placement: Placement, size: int, *, crowding: float = 1.0) -> None:
        self.size = size
        self._placement = placement
        self.crowding = max(1.0, crowding)
        self._members: dict[int, Member] = {}
        self._calls: dict[int, _Call] = {}
        self._losses = [0] * size

    @property
    def is_here(self) -> bool:
        """Whether the only member computes in this process, so that a call returns its answer."""
        return isinstance(self._placement, Here)

    def give(self, name: str, thing: object) -> None:
        """Give all members an object to call by name; members begin anew, and unanswered calls end.

        A member begins when it is called first.
        """
        self._placement.give(name, thing)
        self._end()

    def call(
        self, number: int, name: str, method: str, *args: object, seconds: float = math.inf
    ) -> None:
        """Call a method of an idle member, which should take at most some seconds of a free core.

        The answer is among the :meth:`replies`.
        """
        future = self._member(number).call(name, method, *args)
        self._calls[number] = _Call(future, (seconds + PATIENCE) * self.crowding)

    def ask(self, number: int, name: str, method: str, *args: object) -> Any:  # noqa: ANN401
        """Call a method of a member and wait for its answer."""
        return self._member(number).call(name, method, *args).result()

    def idle(self) -> list[int]:
        """Return the members that have no call to answer."""
        return [number for number in range(self.size) if number not in self._calls]

    def replies(self, timeout: float) -> Iterator[Reply]:
        """Yield the answers that are there, after waiting for one of them for some seconds.

        Errors that a method raised are raised here.

        Raises:
            RunError: a member was lost several times in a row.
        """
        wait([call.future for call in self._calls.values()], timeout, FIRST_COMPLETED)
        for number, call in list(self._calls.items()):
            if call.future.done():
                del self._calls[number]
                try:
                    value = call.future.result()
                except LostError as error:
                    yield self._lost(number, str(error))
                else:
                    self._losses[number] = 0
                    yield Reply(number, value)
            elif self._is_late(number, call):
                del self._calls[number]
                yield self._lost(number, "does not answer")

    def replace(self, number: int) -> None:
        """End a lost member; a new one takes its place at the next call."""
        self._members.pop(number).kill()

    def spread(self, name: str, method: str) -> Callable[[Sequence[str]], Any]:
        """Return a function that maps n strings to n rows, computed by all members together.

        ``method`` of the object ``name`` maps strings to an array of as many rows.
        """

        def compute(texts: Sequence[str]) -> Any:  # noqa: ANN401 - an array
            if not texts:
                return self.ask(0, name, method, texts)
            # Interleaved: chunks come sorted by length, and each member takes as many long ones.
            parts = [texts[number :: self.size] for number in range(min(self.size, len(texts)))]
            found = dict(self.stream(name, method, parts))
            rows = np.empty((len(texts), *found[0].shape[1:]), found[0].dtype)
            for number, part in found.items():
                rows[number :: self.size] = part
            return rows

        return compute

    def stream(
        self, name: str, method: str, tasks: Iterable[Any], *, twice: bool = False
    ) -> Iterator[tuple[int, Any]]:
        """Yield each task's number, and what a method of an object gives for it, as computed.

        Another member takes over from one that was lost, or that waits for a place to begin; with
        ``twice``, once no task is left, also from one that may be slow.
        """
        new = enumerate(tasks)
        left: dict[int, Any] = {}  # tasks without an answer, by number
        doing: dict[int, int] = {}
        done: list[tuple[int, Any]] = []
        while True:
            for member in self.idle():
                number = self._next_task(new, left, doing, twice=twice)
                if number is not None:
                    doing[member] = number
                    self.call(member, name, method, left[number])
            yield from done  # members compute while the caller takes them
            if not left:
                break
            done = list(self._computed(left, doing))
        for member in doing:  # its task was computed by another one
            del self._calls[member]
            self.replace(member)

    def _computed(self, left: dict[int, Any], doing: dict[int, int]) -> Iterator[tuple[int, Any]]:
        """Yield what tasks that were left gave by now, without them; replace lost members."""
        for reply in self.replies(PATIENCE):
            number = doing.pop(reply.member)
            if reply.lost is not None:
                self.replace(reply.member)
            elif left.pop(number, None) is not None:
                yield number, reply.value

    def _next_task(
        self,
        new: Iterator[tuple[int, Any]],
        left: dict[int, Any],
        doing: Mapping[int, int],
        *,
        twice: bool,
    ) -> int | None:
        """Return a new task, one that nobody computes, or one to be computed by a second member."""
        for task in new:
            left.update([task])
            return task[0]
        members = Counter(doing.values())
        held_up = {task for one, task in doing.items() if not self._member(one).is_ready()}
        few = [task for task in left if members[task] < 2]
        useful = [task for task in few if twice or members[task] == 0 or task in held_up]
        return min(useful, key=lambda task: members[task], default=None)

    def dismiss(self) -> None:
        """End all members that compute elsewhere: they would compete with what comes after."""
        if not self.is_here:
            self._end()

    def close(self) -> None:
        """End all members and their placement."""
        self._end()
        self._placement.close()

    def _end(self) -> None:
        self._calls.clear()
        for member in self._members.values():
            member.kill()
        self._members.clear()

    def _member(self, number: int) -> Member:
        if number not in self._members:
            self._members[number] = self._placement.member()
        return self._members[number]

    def _is_late(self, number: int, call: _Call) -> bool:
        if math.isinf(call.due) and self._members[number].is_ready():
            call.due = time.monotonic() + call.seconds
        return time.monotonic() > call.due

    def _lost(self, number: int, why: str) -> Reply:
        self._losses[number] += 1
        if self._losses[number] > _LOSSES:
            raise RunError(
                f"processes that compute must stay alive: one was lost {self._losses[number]} "
                f"times in a row ({why}); free some memory, or give fewer --workers; what was done "
                "is kept"
            )
        return Reply(number, lost=why)


class Here:
    """The placement of a single member in this process; its calls return when they are done."""

    def __init__(self) -> None:
        self._things: dict[str, object] = {}

    def give(self, name: str, thing: object) -> None:
        """Give the member an object, which is shared with this process."""
        self._things[name] = thing

    def member(self) -> Member:
        """Return the member."""
        return _HereMember(self._things)

    def close(self) -> None:
        """Do nothing."""


class _HereMember:
    def __init__(self, things: Mapping[str, object]) -> None:
        self._things = things

    def call(self, name: str, method: str, *args: object) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(call(self._things, name, method, args))
        return future

    def is_ready(self) -> bool:
        return True

    def kill(self) -> None:
        pass


def call(things: Mapping[str, Any], name: str, method: str, args: Sequence[object]) -> Any:  # noqa: ANN401
    """Call a method of the object of that name and return its answer."""
    return getattr(things[name], method)(*args)


def outcome_of(function: Callable[[], Any]) -> bytes:
    """Call a function; return whether it succeeded, with its value or what it raised, pickled."""
    try:
        outcome = True, function()
    except Exception as error:  # noqa: BLE001 - raised in the driver
        outcome = False, error
    return pickle.dumps(outcome, pickle.HIGHEST_PROTOCOL)


def value_of(outcome: bytes) -> Any:  # noqa: ANN401
    """Return the value in what :func:`outcome_of` returned, or raise what was raised."""
    succeeded, value = pickle.loads(outcome)  # noqa: S301 - from a process of this run
    if not succeeded:
        raise value
    return value
