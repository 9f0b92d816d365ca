"""Embedding on a Ray cluster: what can be asked, and what each machine is given to do.

Ray itself is imported where a cluster is used, in :mod:`mean_prompt.corpus.vectors.ray`.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mean_prompt.system import InputError

if TYPE_CHECKING:
    from mean_prompt.corpus.vectors.encoding import Encoded
    from mean_prompt.corpus.vectors.manifest import ModelEntry
    from mean_prompt.corpus.vectors.stream import Shard, Work

#: A cluster on this machine alone, for as long as the work lasts.
LOCAL: Final = "local"
#: Seconds to wait for an answer from a cluster's address.
_PATIENCE: Final = 5.0
_ADDRESS: Final = re.compile(r"local|auto|[\w.-]+:\d{1,5}|\[[\da-fA-F:]+\]:\d{1,5}")


@dataclass(frozen=True, slots=True)
class Node:
    """What a machine of the cluster has."""

    cpus: int
    gpus: int


@dataclass(frozen=True, slots=True)
class ActorPlan:
    """The actors that share the work, each with a model of its own.

    Attributes:
        actors: how many.
        device: of each.
        cpus, gpus: that each has for itself; its threads are as many as its CPUs.
    """

    actors: int
    device: str
    cpus: int
    gpus: int


@dataclass(frozen=True, slots=True)
class ActorModel:
    """What an actor is told of the model: as on the command line, to be found where it runs."""

    model: str | None
    device: str
    trust: bool


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster.

    Attributes:
        address: ``local``, or that of a running one which this machine is part of: ``auto``, or
            ``HOST:PORT``.
        workers: actors; one a GPU when left out, one a machine where there is none.
    """

    address: str = LOCAL
    workers: int | None = None

    def check(self) -> None:
        """Refuse an address that is none, and a missing Ray, before anything is waited for.

        Raises:
            InputError: either of these.
        """
        if not _ADDRESS.fullmatch(self.address):
            raise InputError(
                f"--ray must be alone, or with local, auto or HOST:PORT: found {self.address!r}; "
                "put it last, or write --ray=local"
            )
        self._knock()
        # Ray would send figures of its use to its makers, and logs of its own to the terminal.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        try:
            import ray.data  # noqa: F401
        except ModuleNotFoundError as error:
            if error.name != "ray":
                raise
            raise InputError(
                "--ray needs Ray, which is not installed; run: pip install 'mean-prompt[ray]'"
            ) from error

    def _knock(self) -> None:
        """Try the door of a cluster that was named: Ray itself would wait for minutes."""
        host, colon, port = self.address.rpartition(":")
        if not colon:
            return
        try:
            socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
        except (OSError, OverflowError) as error:
            raise InputError(
                f"--ray must be the address of a cluster that runs: {self.address}: {error}; "
                "start one with: ray start --head"
            ) from error

    def encode(
        self, recruit: ActorModel, model: ModelEntry, work: Work
    ) -> Generator[tuple[Shard, Encoded]]:
        """Yield shards as they are embedded, in any order.

        Args:
            recruit: how an actor finds the model.
            model: what it must have found.
            work: the shards, read on this machine.

        Raises:
            InputError: the cluster cannot be reached, or does not have what was asked of it.
            RunError: the work failed there.
        """
        from mean_prompt.corpus.vectors.ray import connected, embedded, machines

        with connected(self.address):
            team = form_team(machines(), self.workers, recruit.device)
            yield from embedded(team, recruit, model, work)


def form_team(machines: Sequence[Node], workers: int | None, device: str) -> ActorPlan:
    """Share the machines out: an actor a GPU, or CPUs divided among actors of equal size.

    Args:
        machines: of the cluster.
        workers: actors; as many as there are GPUs, or machines without any, when left out.
        device: as on the command line.

    Raises:
        InputError: there are not so many devices.
    """
    gpus = sum(machine.gpus for machine in machines)
    if device == "cuda" or (device == "auto" and gpus):
        actors = workers or gpus
        if not 0 < actors <= gpus:
            raise InputError(
                f"an actor needs a GPU of its own: the cluster has {gpus}, for {max(actors, 1)} "
                "asked; give --workers as many, or --device cpu"
            )
        return ActorPlan(actors, "cuda", cpus=1, gpus=1)
    useful = [machine.cpus for machine in machines if machine.cpus]
    actors = workers or len(useful)
    for cpus in range(max(useful, default=0), 0, -1):
        if sum(have // cpus for have in useful) >= actors:
            return ActorPlan(actors, "cpu" if device == "auto" else device, cpus=cpus, gpus=0)
    raise InputError(
        f"an actor needs a CPU of its own: the cluster has {sum(useful)}, for {max(actors, 1)} "
        "asked; give a smaller --workers"
    )
