"""The climbers of a search: how many there are, and where they compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final
from warnings import warn

from mean_prompt.system import Cluster, Here, Nursery, Placement, Team, available_memory

if TYPE_CHECKING:
    from mean_prompt.encoder import Encoder

#: Name under which the members of a team hold the encoder.
ENCODER: Final = "encoder"
#: What a climber's process imports while the driver imports the same.
MODULES: Final = ("sentence_transformers", "mean_prompt.optimize.climber")
#: Memory that a climber takes beside what climbers share, as measured at 32 tokens: its own part
#: of the interpreter, what it learns, and the activations of one pass.
_CLIMBER_BYTES: Final = 400 * 2**20
#: Climbers that share a core of a Ray cluster, which counts a core of two threads as two CPUs.
_CLUSTER_CROWDING: Final = 2.0


@cache
def cores() -> int:
    """Return the number of physical cores that this process may use."""
    import joblib

    return int(joblib.cpu_count(only_physical_cores=True))


def nursery(workers: int | None) -> Nursery | None:
    """Start the process that several climbers are forked from; ``None`` if there is to be one.

    It imports what they need while this process does the same, which takes as long.
    """
    return Nursery(MODULES) if (workers or cores()) > 1 else None


def fitting(workers: int | None, device: str) -> tuple[int, str | None]:
    """Return the number of climbers that fit in memory, and a note if fewer than asked do.

    ``workers`` is the number asked for; by default there is one a physical core, and one alone on
    a GPU, which a single climber keeps busy.
    """
    asked = workers or (cores() if device == "cpu" else 1)
    room = available_memory()
    if room is None or asked == 1:
        return asked, None
    fits = max(1, room // _CLIMBER_BYTES)
    if asked <= fits:
        return asked, None
    return fits, (
        f"{fits} climbers in place of {asked}: one takes {_CLIMBER_BYTES / 2**20:.0f} MiB, and "
        f"{room / 2**20:,.0f} MiB are free"
    )


@contextmanager
def team_of(
    encoder: Encoder,
    size: int,
    begun: Nursery | None = None,
    cluster: Cluster | None = None,
    notify: Callable[[str], object] = warn,
) -> Iterator[Team]:
    """Yield a team of climbers that hold the encoder, and end it with the block.

    One climber computes in this process; several have a process each, forked from the one that
    was ``begun``, if any. On a ``cluster`` there are as many as it asks for, whatever the ``size``:
    by default one per CPU, or per GPU if the encoder is on one. ``notify`` is called with lines
    for the user.
    """
    team = (
        _team_on(cluster, encoder.device, notify)
        if cluster
        else Team(_place(size, begun), size, crowding=size / cores())
    )
    try:
        team.give(ENCODER, encoder)
        yield team
    finally:
        team.close()


def _place(size: int, begun: Nursery | None) -> Placement:
    return Here() if size == 1 else begun or Nursery(MODULES)


def _team_on(cluster: Cluster, device: str, notify: Callable[[str], object]) -> Team:
    from mean_prompt.system import RayPlacement

    placement = RayPlacement(cluster, device, cpus=1, notify=notify)
    return Team(placement, placement.plan.actors, crowding=_CLUSTER_CROWDING)
