"""Where a study puts the climbs that ended, and finds what other workers found."""

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


class Mark(Elite):
    """Where another worker's climb stands: its best string, as plain values.

    Attributes:
        share: of the climb that is over, within [0, 1].
    """

    share: float


class ResultBoard(Protocol):
    """Keeps the climbs that ended, and knows other workers' results. No call waits for them."""

    def add(self, record: ClimbRecord) -> None:
        """Add a climb that ended; adding it twice changes nothing."""

    def ended(self) -> Sequence[ClimbRecord]:
        """Return the climbs known so far, this worker's and others', each once."""

    def elite(self) -> Elite | None:
        """Return the best string of the other workers, if there is one."""

    def marks(self) -> Sequence[Mark]:
        """Return where the climbs of the other workers stand."""


class LocalBoard:
    """The board of a single worker, in memory."""

    def __init__(self) -> None:
        self._ended: dict[tuple[int, int], ClimbRecord] = {}

    def add(self, record: ClimbRecord) -> None:
        """Add a climb that ended; adding it twice changes nothing."""
        self._ended.setdefault(record.key, record)

    def ended(self) -> Sequence[ClimbRecord]:
        """Return the climbs that ended, in their order."""
        return list(self._ended.values())

    def elite(self) -> Elite | None:
        """Return ``None``: there are no other workers."""
        return None

    def marks(self) -> Sequence[Mark]:
        """Return nothing: there are no other workers."""
        return ()
