"""What every benchmark says of where it ran, so that its figures can be judged and repeated."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from mean_prompt.masking import masked_urls

_PACKAGES: Final = ("mean-prompt", "torch", "sentence-transformers", "transformers", "numpy")


class Frozen(BaseModel):
    """A part of a report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(Frozen):
    """Where and when figures were taken.

    Attributes:
        command: the command line.
        date: of the start, UTC.
        cpu: the processor's name; ``cores`` and ``threads`` that torch uses of them.
        device: that the model ran on.
        versions: of Python and the packages that decide the speed.
    """

    command: str
    date: str
    cpu: str
    cores: int
    threads: int
    device: str
    versions: dict[str, str]

    @classmethod
    def here(cls, device: str) -> Machine:
        """Describe this process."""
        import torch

        return cls(
            command=shlex.join(["mean-prompt", *map(masked_urls, sys.argv[1:])]),
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            cpu=_cpu_name(),
            cores=os.cpu_count() or 1,
            threads=torch.get_num_threads(),
            device=device,
            versions={"python": platform.python_version()}
            | {package: version(package) for package in _PACKAGES},
        )


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
