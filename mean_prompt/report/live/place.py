"""The files of a live page in its run's folder: its address, and the log of its process."""

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
    """The address and the process of the server that a run's live page has, or had last."""

    address: Address
    pid: int

    def record(self, run: Path) -> None:
        """Write the address into the run's folder, where the next server finds it."""
        data = asdict(self.address) | {"pid": self.pid}
        write_atomically(run / LIVE / _ADDRESS, json.dumps(data).encode())


def log_of(run: Path) -> Path:
    """Return the path of a server's log."""
    return run / LIVE / _LOG


def last_server(run: Path) -> PageServer | None:
    """Return the server that a run has or had last, or ``None`` if it never had one.

    Raises:
        InputError: its file cannot be read.
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
    """Return the server of a run, or ``None`` if it does not run now."""
    try:
        return last_server(run) if is_held(run / LIVE) else None
    except OSError:
        return None
