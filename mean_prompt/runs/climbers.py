"""The climbers of a search: how many there are, and where they compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final

from mean_prompt.system import (
    Cluster,
    Here,
    Placement,
    Processes,
    Team,
    available_memory,
    start_method,
)

if TYPE_CHECKING:
    from mean_prompt.encoder import Encoder
    from mean_prompt.system import RayPlacement

#: Name under which the members of a team hold the encoder.
ENCODER: Final = "encoder"
#: What a climber on a cluster imports while the driver imports the same.
_MODULES: Final = ("sentence_transformers", "mean_prompt.optimize.climber")
#: Memory that a climber takes for itself with all-MiniLM-L6-v2 at 32 tokens, twice the measured 190
#: MiB if it is a fork, and a third more than 870 MiB if it has a Python and a model of its own.
_CLIMBER_BYTES: Final = {"fork": 400 * 2**20, "spawn": 1_200 * 2**20}
#: Climbers that share a core of a Ray cluster, which counts a core of two threads as two CPUs.
_CLUSTER_CROWDING: Final = 2.0


@cache
def cores() -> int:
    """Return the number of physical cores that this process may use."""
    import joblib

    return int(joblib.cpu_count(only_physical_cores=True))


def fitting(workers: int | None, device: str) -> tuple[int, str | None]:
    """Return the number of climbers that fit in memory, and a note if fewer than asked do.

    ``workers`` is the number asked for; by default there is one a physical core, and one alone on
    a GPU, which a single climber keeps busy.
    """
    asked = workers or (cores() if device == "cpu" else 1)
    room = available_memory()
    if room is None or asked == 1:
        return asked, None
    takes = _CLIMBER_BYTES[start_method(device)]
    fits = max(1, room // takes)
    if asked <= fits:
        return asked, None
    return fits, (
        f"{fits} climbers in place of {asked}: one takes {takes / 2**20:,.0f} MiB, and "
        f"{room / 2**20:,.0f} MiB are free"
    )


@contextmanager
def team_of(encoder: Encoder, size: int, placement: Placement | None = None) -> Iterator[Team]:
    """Yield a team of climbers that hold the encoder, and end it with the block.

    One climber computes in this process; several have a process each, or are members of a
    cluster's ``placement``.
    """
    crowding = size / cores()
    if placement is None:
        placement = Here() if size == 1 else Processes(start_method(encoder.device))
    else:
        crowding = _CLUSTER_CROWDING
    team = Team(placement, size, crowding=crowding)
    try:
        team.give(ENCODER, encoder)
        yield team
    finally:
        team.close()


def on_cluster(cluster: Cluster, device: str) -> RayPlacement:
    """Begin climbers on a cluster: one per CPU, or per GPU if the model is to be on one.

    They import what they need while this process does the same, which takes as long.
    """
    from mean_prompt.system import RayPlacement

    return RayPlacement(cluster, device, cpus=1, modules=_MODULES)
