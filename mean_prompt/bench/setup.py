"""What every benchmark says of where it ran, so that its figures can be judged and repeated."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from mean_prompt.system import masked_urls, write_atomically

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
    def here(cls, device: str, program: str = "mean-prompt") -> Machine:
        """Describe this process, of a program by the name that starts it."""
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


def write_figures(
    out: Path, program: str, figures: Mapping[str, Any], *, device: str = "cpu"
) -> None:
    """Write what a benchmark measured as JSON, after where it was measured.

    Args:
        out: the file.
        program: what starts the benchmark: ``python -m ...``.
        figures: plain values by name.
        device: that the model ran on.

    Raises:
        OSError: the disk does not take it.
    """
    machine = Machine.here(device, program).model_dump()
    write_atomically(out, (json.dumps({"machine": machine, **figures}, indent=2) + "\n").encode())


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
