"""Checks of this machine's load, memory, cores and threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mean_prompt.doctor.diagnosis import Diagnosis, format_bytes
from mean_prompt.doctor.settings import RunSettings

#: Bytes that a search takes: with all-MiniLM-L6-v2 over the packaged corpus, 64 tokens, on a CPU,
#: 1.3 GB were resident at its peak. A T5 of base size has 0.5 GB more in its two copies.
_MEMORY: Final = 18 * 10**8
#: Variables that set the threads of the libraries below torch, numpy and the tokenizers.
_THREADS: Final = tuple(f"{library}_NUM_THREADS" for library in ("OMP", "MKL", "OPENBLAS", "RAYON"))
_MEMINFO: Final = Path("/proc/meminfo")
_CPUINFO: Final = Path("/proc/cpuinfo")
_GROUPS: Final = Path("/sys/fs/cgroup")
#: Files with a container's memory limit, its usage, and the part of that in cached files, which
#: can be freed: in both versions of control groups.
_LIMITS: Final = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)
#: Processor flags that stand for fast bfloat16 arithmetic.
_FAST_BFLOAT16: Final = frozenset({"avx512_bf16", "amx_bf16", "bf16", "sve_bf16"})


def check_load(_settings: RunSettings) -> Iterator[Diagnosis]:
    """Check whether the machine is already busy: its load average against its cores."""
    import joblib

    if not hasattr(os, "getloadavg"):
        yield Diagnosis("load", "skipped", "this system does not report it")
        return
    load, cores = os.getloadavg()[0], joblib.cpu_count()
    found = f"{load:.1f} processes at work over the last minute, on {_counted(cores, 'core')}"
    if load > cores:
        remedy = "wait for them: a search by time finds less, and the speeds below are of now"
        yield Diagnosis("load", "warning", f"{found}: others use this machine", remedy)
    else:
        yield Diagnosis("load", "good", found)


def check_memory(_settings: RunSettings) -> Iterator[Diagnosis]:
    """Check whether the available memory is enough for a search."""
    free = available_memory()
    if free is None:
        yield Diagnosis("memory", "skipped", "this system does not report what is available")
        return
    found = f"{format_bytes(free)} available"
    if free < _MEMORY:
        found += f": a search may take {format_bytes(_MEMORY)}"
        remedy = "end other programs, or search a smaller corpus with a smaller model"
        yield Diagnosis("memory", "warning", found, remedy)
    else:
        yield Diagnosis("memory", "good", found)


def check_threads(_settings: RunSettings) -> Iterator[Diagnosis]:
    """Check whether torch's number of threads fits the cores that this process may use."""
    import joblib
    import torch

    # The first count is within a container's share of time. Torch starts one thread per physical
    # core: a second thread on a core gains little.
    cores, physical = joblib.cpu_count(), joblib.cpu_count(only_physical_cores=True)
    threads = torch.get_num_threads()
    found = f"torch uses {_counted(threads, 'thread')} on {_counted(cores, 'core')}"
    settings = [f"{name}={os.environ[name]}" for name in _THREADS if os.environ.get(name)]
    if settings:
        found += f"; set: {', '.join(settings)}"
    if threads < physical:
        remedy = "unset what is set" if settings else f"set OMP_NUM_THREADS={cores}"
        yield Diagnosis("threads", "warning", found, f"{remedy}: cores stand idle")
    elif threads > cores:
        remedy = f"set OMP_NUM_THREADS={cores}: threads that wait for each other slow a search down"
        yield Diagnosis("threads", "warning", found, remedy)
    else:
        yield Diagnosis("threads", "good", found)


def available_memory() -> int | None:
    """Return the bytes this process can allocate without swapping, or ``None`` if unknown."""
    available = _entry(_MEMINFO, "MemAvailable:")
    free = [] if available is None else [available * 1024]
    for limit_name, used_name, table, cached in _LIMITS:
        limit, used = _read(_GROUPS / limit_name), _read(_GROUPS / used_name)
        if limit.isdigit() and used.isdigit():
            free.append(int(limit) - int(used) + (_entry(_GROUPS / table, cached) or 0))
    return max(0, min(free)) if free else None


def has_fast_bfloat16() -> bool | None:
    """Return whether the processor has instructions for bfloat16, or ``None`` if unknown."""
    for line in _read(_CPUINFO).splitlines():
        name, _, flags = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            return not _FAST_BFLOAT16.isdisjoint(flags.split())
    return None


def _entry(path: Path, name: str) -> int | None:
    """Return the number that follows a name in a system file such as ``/proc/meminfo``."""
    rows = (line.split() for line in _read(path).splitlines())
    return next((int(row[1]) for row in rows if row and row[0] == name), None)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError:  # not Linux, or another version of control groups
        return ""


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
