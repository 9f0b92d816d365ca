"""What a worker's study has to do with others: climbs handed in, climbs and strings taken over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypedDict

if TYPE_CHECKING:
    from mean_prompt.optimize.sampling import ClimbRecord


class Elite(TypedDict):
    """A string that another worker found, as plain values.

    Attributes:
        body: ids of its editable part.
        score: of the whole string.
    """

    body: list[int]
    score: float


class Mark(TypedDict):
    """Where another worker's climb stands, as plain values.

    Attributes:
        body: ids of the editable part of its best string.
        score: of the whole string.
        share: of the climb that is over, within [0, 1].
    """

    body: list[int]
    score: float
    share: float


class ResultBoard(Protocol):
    """Where climbs that ended go. No call waits for another machine."""

    def add(self, record: ClimbRecord) -> None:
        """Take in a climb that ended; one that was handed in before counts once."""

    def ended(self) -> Sequence[ClimbRecord]:
        """Return the climbs known so far, this worker's and others', each once."""

    def elite(self) -> Elite | None:
        """Return the best string of the other workers, if there is one."""

    def marks(self) -> Sequence[Mark]:
        """Return where the climbs of the other workers stand."""


class Alone:
    """The exchange of a study that is on its own and kept nowhere."""

    def __init__(self) -> None:
        self._ended: dict[tuple[int, int], ClimbRecord] = {}

    def add(self, record: ClimbRecord) -> None:
        """Take in a climb that ended."""
        self._ended.setdefault(record.key, record)

    def ended(self) -> Sequence[ClimbRecord]:
        """Return the climbs that ended, in their order."""
        return list(self._ended.values())

    def elite(self) -> Elite | None:
        """Return nothing: there is nobody else."""
        return None

    def marks(self) -> Sequence[Mark]:
        """Return nothing: there is nobody else."""
        return ()
