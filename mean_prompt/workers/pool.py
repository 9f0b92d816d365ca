"""Workers on this machine: processes of their own, looked after by the one that began them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mean_prompt.system import InputError, RunError, unwritable
from mean_prompt.workers.storage_url import StorageURL

#: Under this name processes are given the storage: a command line can be seen by everybody.
STORAGE_VARIABLE: Final = "MEAN_PROMPT_STORAGE"
#: Set for a process that is to end when its standard input does.
TETHER_VARIABLE: Final = "MEAN_PROMPT_TETHERED"
_LOG: Final = "log.txt"
#: A worker that dies this often, each time within so many seconds, is not started again.
_MOST_DEATHS: Final = 5
_QUICK: Final = 60.0


@dataclass(slots=True)
class _Member:
    """One worker's process.

    Attributes:
        folder: its own.
        process: the present one.
        began: when it was started.
        deaths: in quick succession.
    """

    folder: Path
    process: subprocess.Popen[bytes]
    began: float
    deaths: int = 0
    is_given_up: bool = field(default=False)


class Pool:
    """Starts workers, starts those again that die, and ends them.

    A worker whose parent dies ends too: its standard input does.

    Args:
        folder: under which each worker has one of its own.
        url: of the storage.
        study: its name.
        count: of workers.
        trust: whether the model may run code.
    """

    def __init__(
        self, folder: Path, url: StorageURL, study: str, count: int, *, trust: bool = False
    ) -> None:
        self._url = url
        self._study = study
        self._trust = trust
        self._threads = max(1, available_cores() // count)
        self._members = [self._begun(folder / str(number)) for number in range(count)]

    def tend(self) -> Iterator[str]:
        """Start dead workers again; yield what there is to tell the user.

        Raises:
            InputError: a worker found that it cannot work: the others could not either.
            RunError: all have died again and again.
        """
        for number, member in enumerate(self._members):
            code = member.process.poll()
            if code in {None, 0} or member.is_given_up:
                continue
            if code == InputError.exit_code:
                raise InputError(_last_line(member.folder).removeprefix("mean-prompt: "))
            _hang_up(member)
            quick = time.monotonic() - member.began < _QUICK
            deaths = member.deaths + 1 if quick else 1
            if deaths >= _MOST_DEATHS:
                member.deaths, member.is_given_up = deaths, True
                yield f"worker {number} died {deaths} times and is given up: {_cause(code, member)}"
                continue
            yield f"worker {number} died and is started again: {_cause(code, member)}"
            self._members[number] = self._begun(member.folder, deaths)
        if all(member.is_given_up for member in self._members):
            last = self._members[-1]
            raise RunError(f"no worker is left: {_last_line(last.folder)}; see {last.folder}")

    def are_done(self) -> bool:
        """Tell whether no worker runs."""
        return all(member.process.poll() is not None for member in self._members)

    def ask_to_end(self) -> None:
        """Ask all workers to save and end."""
        for member in self._members:
            if member.process.poll() is None:
                member.process.send_signal(signal.SIGTERM)

    def end(self, grace: float) -> Iterator[str]:
        """Wait for all workers to end, and end those that do not; yield what there is to tell."""
        deadline = time.monotonic() + grace
        for number, member in enumerate(self._members):
            try:
                member.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                member.process.kill()
                member.process.wait()
                yield (
                    f"worker {number} did not end and was killed: the storage has what it handed "
                    "in, and the next search --resume goes on with the rest"
                )
            _hang_up(member)

    def _begun(self, folder: Path, deaths: int = 0) -> _Member:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / _LOG).open("ab") as log:
                process = subprocess.Popen(  # noqa: S603 - this very program
                    self._command(folder),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env=self._environment(),
                    # Ctrl-C is for the parent, which then asks its workers to end.
                    start_new_session=True,
                )
        except OSError as error:
            raise unwritable(folder, error) from error
        return _Member(folder, process, time.monotonic(), deaths)

    def _command(self, folder: Path) -> list[str]:
        return [
            *(sys.executable, "-m", "mean_prompt", "worker"),
            *("--study", self._study, "--threads", str(self._threads), "--out", str(folder)),
            *(["--trust-model"] if self._trust else []),
        ]

    def _environment(self) -> dict[str, str]:
        threads = str(self._threads)
        return os.environ | {
            STORAGE_VARIABLE: self._url.with_secrets(),
            TETHER_VARIABLE: "1",
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "RAYON_NUM_THREADS": threads,
        }


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    import joblib

    return int(joblib.cpu_count())


def _hang_up(member: _Member) -> None:
    """Close a process's standard input."""
    assert member.process.stdin is not None
    member.process.stdin.close()


def _cause(code: int, member: _Member) -> str:
    if code < 0:
        return f"signal {-code}"
    return f"exit code {code}: {_last_line(member.folder)}"


def _last_line(folder: Path) -> str:
    """Return the last line that a worker said."""
    try:
        lines = (folder / _LOG).read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        return "it left no log"
    return lines[-1] if lines else "it said nothing"
