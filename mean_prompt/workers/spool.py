"""Climbs that ended and wait on this disk until the storage has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from mean_prompt.optimize import ClimbRecord
from mean_prompt.system import InputError, unwritable, write_atomically


class Spool:
    """A folder with a file a climb.

    Args:
        folder: made if need be.

    Raises:
        RunError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from error

    def __len__(self) -> int:
        return len(self._files())

    def put(self, record: ClimbRecord) -> None:
        """Keep a climb.

        Raises:
            RunError: the disk does not take it.
        """
        path = self._path(record)
        try:
            write_atomically(path, json.dumps(asdict(record)).encode())
        except OSError as error:
            raise unwritable(path, error) from error

    def waiting(self) -> Iterator[ClimbRecord]:
        """Yield the climbs, the oldest first.

        Raises:
            InputError: a file is none of a climb.
        """
        for path in self._files():
            try:
                record = ClimbRecord.of_dict(json.loads(path.read_text("utf-8")))
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(
                    f"a climb that waits must be whole: {path} is damaged; delete it"
                ) from error
            yield record

    def drop(self, record: ClimbRecord) -> None:
        """Keep a climb no longer."""
        self._path(record).unlink(missing_ok=True)

    def _path(self, record: ClimbRecord) -> Path:
        return self._folder / f"climb-{record.number:06}.json"

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("climb-*.json"))
