"""Progress reports of long-running work: the event, and the callback that receives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """How far a long-running job has come, sent to a listener (a callback).

    Attributes:
        phase: what is being done, such as ``embedding``.
        total: items of this phase, or ``None`` if they are not counted.
        unit: what the items are, in the plural: ``prompts``, ``rows``.
        notes: what the user should know, a line each; each is sent once.
    """

    phase: str
    done: int = 0
    total: int | None = None
    unit: str = ""
    notes: tuple[str, ...] = ()


Listener = Callable[[ProgressEvent], None]


def ignore(_event: ProgressEvent) -> None:
    """Do nothing with a progress event: the default listener."""
