"""The files of a live page's server in the run's folder: its address and its log."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from mean_prompt.runs import LIVE
from mean_prompt.system import Address, InputError, is_held, write_atomically

_ADDRESS: Final = "live.json"
_LOG: Final = "log.txt"


@dataclass(frozen=True, slots=True)
class PageServer:
    """The address and process id of the server that serves, or last served, a run's live page."""

    address: Address
    pid: int

    def record(self, run: Path) -> None:
        """Write the server's address and process id into the run's folder."""
        data = asdict(self.address) | {"pid": self.pid}
        write_atomically(run / LIVE / _ADDRESS, json.dumps(data).encode())


def log_of(run: Path) -> Path:
    """Return the path of the log of the server of a run's live page."""
    return run / LIVE / _LOG


def last_server(run: Path) -> PageServer | None:
    """Return the current or last server of a run's live page, or ``None`` if there never was one.

    Raises:
        InputError: the file with the address cannot be read.
    """
    path = run / LIVE / _ADDRESS
    try:
        kept = json.loads(path.read_bytes())
        return PageServer(Address(str(kept["host"]), int(kept["port"])), int(kept["pid"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"a live page's file must be whole: {path} cannot be read; delete it"
        ) from error


def running_server(run: Path) -> PageServer | None:
    """Return the running server of a run's live page, or ``None`` if none is running."""
    try:
        return last_server(run) if is_held(run / LIVE) else None
    except OSError:
        return None
