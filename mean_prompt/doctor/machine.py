"""Load, memory, cores and threads: what slows a run down, or ends it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Final

from mean_prompt.doctor.finding import Finding
from mean_prompt.doctor.limits import available_memory, core_quota, physical_cores
from mean_prompt.doctor.patient import RunSettings
from mean_prompt.doctor.sizes import bytes_shown
from mean_prompt.workers import available_cores

#: Memory that a search takes: with all-MiniLM-L6-v2 over the packaged corpus, 64 tokens, on a CPU,
#: 1.3 GB were resident at its peak. A T5 of base size has 0.5 GB more in its two copies.
_MEMORY: Final = 18 * 10**8
#: Variables that say how many threads the libraries below torch, numpy and the tokenizers start.
_THREADS: Final = tuple(f"{library}_NUM_THREADS" for library in ("OMP", "MKL", "OPENBLAS", "RAYON"))


def check_load(_patient: RunSettings) -> Iterator[Finding]:
    """Look at what else the machine does, before this program does anything itself."""
    if not hasattr(os, "getloadavg"):
        yield Finding("load", "skipped", "this system does not tell")
        return
    load, cores = os.getloadavg()[0], available_cores()
    found = f"{load:.1f} processes at work over the last minute, on {_cores(cores)}"
    if load > cores:
        remedy = "wait for them: a search by time finds less, and the speeds below are of now"
        yield Finding("load", "warning", f"{found}: others use this machine", remedy)
    else:
        yield Finding("load", "good", found)


def check_memory(_patient: RunSettings) -> Iterator[Finding]:
    """Hold the memory that is free against what a search takes."""
    free = available_memory()
    if free is None:
        yield Finding("memory", "skipped", "this system does not tell what is available")
        return
    found = f"{bytes_shown(free)} available"
    if free < _MEMORY:
        yield Finding(
            "memory",
            "warning",
            f"{found}: a search may take {bytes_shown(_MEMORY)}",
            "end other programs, or search a smaller corpus with a smaller model",
        )
    else:
        yield Finding("memory", "good", found)


def check_threads(_patient: RunSettings) -> Iterator[Finding]:
    """Hold torch's threads against the cores, and against what a container is given of them."""
    import torch

    cores, quota, threads = available_cores(), core_quota(), torch.get_num_threads()
    found = f"torch uses {threads} thread{'s' * (threads != 1)} on {_cores(cores)}"
    usable = cores
    if quota is not None and quota < cores:
        found += f", of which this process is given the time of {quota:g}"
        usable = max(1, math.ceil(quota))
    settings = [f"{name}={os.environ[name]}" for name in _THREADS if os.environ.get(name)]
    if settings:
        found += f"; set: {', '.join(settings)}"
    remedy = _thread_remedy(threads, usable, is_set=bool(settings))
    yield Finding("threads", "warning" if remedy else "good", found, remedy)


def _thread_remedy(threads: int, usable: int, *, is_set: bool) -> str | None:
    """Return how to have as many threads as there are cores for, or ``None`` where there are."""
    # One thread a core is what torch starts by itself: the second thread of a core gains little.
    if threads < min(usable, physical_cores() or usable):
        begin = "unset what is set" if is_set else f"set OMP_NUM_THREADS={usable}"
        return f"{begin}: cores stand idle"
    if threads > usable:
        return f"set OMP_NUM_THREADS={usable}: threads that wait for each other slow a search down"
    return None


def _cores(count: int) -> str:
    return f"{count} core{'s' * (count != 1)}"
