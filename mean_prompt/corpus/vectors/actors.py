"""How the machines of a Ray cluster are divided among the actors that embed a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mean_prompt.system import InputError

#: The address of a cluster on this machine alone, which lasts as long as the work.
LOCAL: Final = "local"


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster, with the processors and GPUs that Ray counts there."""

    cpus: int
    gpus: int


@dataclass(frozen=True, slots=True)
class ActorPlan:
    """The actors that share the work, each with its own copy of the model.

    Attributes:
        actors: their number.
        device: of each.
        cpus: of each; it computes with as many threads.
        gpus: of each.
    """

    actors: int
    device: str
    cpus: int
    gpus: int


@dataclass(frozen=True, slots=True)
class ActorModel:
    """The model as an actor loads it.

    Attributes:
        model: a name or a folder on the actor's machine; ``None`` for the default model.
        device: as on the command line.
        trust: whether the model may run code.
    """

    model: str | None
    device: str
    trust: bool


def plan_actors(nodes: Sequence[Node], workers: int | None, device: str) -> ActorPlan:
    """Plan one actor per GPU, or CPUs divided among actors of equal size.

    Args:
        nodes: the machines of the cluster.
        workers: number of actors; by default as many as there are GPUs, or else machines.
        device: as on the command line.

    Raises:
        InputError: there are not enough devices.
    """
    gpus = sum(node.gpus for node in nodes)
    if device == "cuda" or (device == "auto" and gpus):
        actors = workers or gpus
        if not 0 < actors <= gpus:
            raise InputError(
                f"an actor needs a GPU of its own: the cluster has {gpus}, for {max(actors, 1)} "
                "asked; give --workers as many, or --device cpu"
            )
        return ActorPlan(actors, "cuda", cpus=1, gpus=1)
    useful = [node.cpus for node in nodes if node.cpus]
    actors = workers or len(useful)
    for cpus in range(max(useful, default=0), 0, -1):
        if sum(have // cpus for have in useful) >= actors:
            return ActorPlan(actors, "cpu" if device == "auto" else device, cpus=cpus, gpus=0)
    raise InputError(
        f"an actor needs a CPU of its own: the cluster has {sum(useful)}, for {max(actors, 1)} "
        "asked; give a smaller --workers"
    )


def unreachable(address: str, reason: str) -> InputError:
    """Return the error to raise if no cluster can be joined at an address."""
    return InputError(
        f"--ray must be the address of a cluster that runs: {address}: {reason}; start one with: "
        "ray start --head"
    )
