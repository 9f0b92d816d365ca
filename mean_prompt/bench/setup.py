"""The description of the machine that a benchmark ran on, and the folder of its report."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from mean_prompt.system import RunError, masked_urls, os_errors, user_path, write_atomically

_PACKAGES: Final = ("mean-prompt", "torch", "sentence-transformers", "transformers", "numpy")


class Frozen(BaseModel):
    """Base class of a benchmark report's parts: immutable pydantic models without extra fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(Frozen):
    """The machine, software versions and date of a benchmark's measurements.

    Attributes:
        date: date and time of the measurements, UTC.
        versions: versions of Python and of the packages that determine the speed.
    """

    command: str
    date: str
    cpu: str
    cores: int
    threads: int
    device: str
    versions: dict[str, str]

    @classmethod
    def here(cls, device: str, program: str = "mean-prompt") -> Machine:
        """Return a description of this machine and of this process, started by ``program``."""
        import torch

        return cls(
            command=" ".join([program, *map(shlex.quote, map(masked_urls, sys.argv[1:]))]),
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            cpu=_cpu_name(),
            cores=os.cpu_count() or 1,
            threads=torch.get_num_threads(),
            device=device,
            versions={"python": platform.python_version()}
            | {package: version(package) for package in _PACKAGES},
        )


class ReportFolder:
    """A folder for a benchmark's report, created if missing; files are replaced atomically.

    Raises:
        InputError: the folder cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = user_path(path)
        rule = "--out must be a folder that can be written"
        with os_errors(rule, self.path, "choose another"):
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass

    def write(self, name: str, text: str) -> None:
        """Write a text file to the folder atomically: readers see the old file or the new one."""
        target, rule = self.path / name, "the report must stay writable"
        with os_errors(rule, target, "free some room, and run again", raises=RunError):
            write_atomically(target, text.encode())


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
