"""What a live page keeps in its run's folder: where it listens, a lock, and a log."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from mean_prompt.runs import LIVE
from mean_prompt.system import Address, FolderLock, InputError, is_held, write_atomically

_WHERE: Final = "live.json"
_LOG: Final = "log.txt"


@dataclass(frozen=True, slots=True)
class Server:
    """A run's server, as it wrote itself down.

    Attributes:
        address: where it listens, or did.
        pid: of its process.
    """

    address: Address
    pid: int


def log_of(run: Path) -> Path:
    """Return where the server of a run says what went wrong."""
    return run / LIVE / _LOG


@contextmanager
def held_place(run: Path, address: Address) -> Iterator[None]:
    """Be the one server of a run, and write down where it listens.

    What is written stays: the next server of the run listens there again.

    Args:
        run: its folder.
        address: with its port.

    Raises:
        BlockingIOError: the run has a server.
        OSError: the folder cannot be written.
    """
    folder = run / LIVE
    folder.mkdir(exist_ok=True)
    lock = FolderLock(folder)
    try:
        server = asdict(address) | {"pid": os.getpid()}
        write_atomically(folder / _WHERE, json.dumps(server).encode())
        yield
    finally:
        lock.release()


def last_server(run: Path) -> Server | None:
    """Return the server that a run has or had last; ``None`` where it had none.

    Raises:
        InputError: what it wrote down cannot be read.
    """
    path = run / LIVE / _WHERE
    try:
        kept = json.loads(path.read_bytes())
        return Server(Address(str(kept["host"]), int(kept["port"])), int(kept["pid"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"a live page's file must be whole: {path} cannot be read; delete it"
        ) from error


def has_server(run: Path) -> bool:
    """Tell whether a server of a run is there now."""
    try:
        return is_held(run / LIVE)
    except OSError:
        return False
