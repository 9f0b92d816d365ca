"""The address of a Ray cluster, and how its CPUs and GPUs are divided among actors."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mean_prompt.system.errors import InputError

#: The address of a cluster on this machine alone, which is stopped when the work ends.
LOCAL: Final = "local"
#: Seconds to wait for an answer from a cluster's address.
_PATIENCE: Final = 5.0
_ADDRESS: Final = re.compile(r"local|auto|[\w.-]+:\d{1,5}|\[[\da-fA-F:]+\]:\d{1,5}")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster: ``local`` starts one on this machine; ``auto`` or ``HOST:PORT`` joins one.

    ``workers`` is the number of actors; the default depends on what they do.
    """

    address: str = LOCAL
    workers: int | None = None

    def check(self) -> None:
        """Raise if the address cannot be reached or Ray is not installed, before any slow work."""
        if not _ADDRESS.fullmatch(self.address):
            raise InputError(
                f"--ray must be alone, or with local, auto or HOST:PORT: found {self.address!r}; "
                "put it last, or write --ray=local"
            )
        host, colon, port = self.address.rpartition(":")
        if colon:
            # Ray itself would wait for minutes.
            try:
                socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
            except (OSError, OverflowError) as error:
                raise unreachable(self.address, str(error)) from error
        # Ray would send usage statistics to its makers, logs of its own to the terminal, and to
        # standard output the last lines of a lost machine's log.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
        try:
            import ray  # noqa: F401
        except ModuleNotFoundError as error:
            if error.name != "ray":
                raise
            raise InputError(
                "--ray needs Ray, which is not installed; run: pip install 'mean-prompt[ray]'"
            ) from error


@dataclass(frozen=True, slots=True)
class ActorPlan:
    """Number of Ray actors, and the device, CPUs (also torch threads) and GPUs of each."""

    actors: int
    device: str
    cpus: int
    gpus: int


def plan_actors(
    nodes: Sequence[tuple[int, int]], workers: int | None, device: str, cpus: int | None = None
) -> ActorPlan:
    """Choose the number of Ray actors: one per GPU, or else shares of the CPUs.

    Args:
        nodes: the numbers of CPUs and GPUs of each machine of the cluster.
        workers: the number of actors asked for.
        device: of the actors; ``auto`` is GPUs if there are any.
        cpus: CPUs of an actor without a GPU. Default: equal shares, of one actor per machine.
    """
    gpus = sum(gpus for _, gpus in nodes)
    if device == "cuda" or (device == "auto" and gpus):
        actors = workers or gpus
        if not 0 < actors <= gpus:
            raise InputError(
                f"an actor needs a GPU of its own: the cluster has {gpus}, for {max(actors, 1)} "
                "asked; give --workers as many, or --device cpu"
            )
        return ActorPlan(actors, "cuda", cpus=1, gpus=1)
    useful = [have for have, _ in nodes if have]
    actors = workers or (len(useful) if cpus is None else sum(have // cpus for have in useful))
    for share in range(max(useful, default=0), 0, -1) if cpus is None else (cpus,):
        if sum(have // share for have in useful) >= max(actors, 1):
            return ActorPlan(actors, "cpu" if device == "auto" else device, cpus=share, gpus=0)
    raise InputError(
        f"an actor needs a CPU of its own: the cluster has {sum(useful)}, for {max(actors, 1)} "
        "asked; give a smaller --workers"
    )


def unreachable(address: str, reason: str) -> InputError:
    """Return the error to raise if no Ray cluster can be joined at an address."""
    return InputError(
        f"--ray must be the address of a cluster that runs: {address}: {reason}; start one with: "
        "ray start --head"
    )
