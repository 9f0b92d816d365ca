"""What this process may use of the machine: Linux says so, and others are not asked.

A container sees the memory and the cores of the whole machine; what it may use of them is in its
control group, or in one above that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

_MEMINFO: Final = Path("/proc/meminfo")
_CPUINFO: Final = Path("/proc/cpuinfo")
_CORES: Final = Path("/sys/devices/system/cpu")
#: Control groups, and which of them this process is in, a line each: ``4:memory:/docker/abc``.
_GROUPS: Final = Path("/sys/fs/cgroup")
_OWN_GROUPS: Final = Path("/proc/self/cgroup")
#: Names of the limit, of what is used, and of the part of it that is cached files, in both versions
#: of control groups.
_MEMORY: Final = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
#: What processors call fast arithmetic in bfloat16.
_FAST_BFLOAT16: Final = frozenset({"avx512_bf16", "amx_bf16", "bf16", "sve_bf16"})


def available_memory() -> int | None:
    """Return the bytes that can be taken without swapping; ``None`` where it cannot be told."""
    free = [_kibibytes("MemAvailable"), *map(_left_in, _folders("memory"))]
    known = [left for left in free if left is not None]
    return max(0, min(known)) if known else None


def core_quota() -> float | None:
    """Return the cores' worth of time that this process is given; ``None`` without a limit."""
    quotas = [quota for folder in _folders("cpu") if (quota := _quota_in(folder))]
    return min(quotas, default=None)


def physical_cores() -> int | None:
    """Return the cores this process may use, two threads of one core counted once, if known."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    siblings = {
        " ".join(_lines(_CORES / f"cpu{number}" / "topology" / "thread_siblings_list"))
        for number in os.sched_getaffinity(0)
    }
    return None if "" in siblings else len(siblings)


def has_fast_bfloat16() -> bool | None:
    """Tell whether the processor has instructions for bfloat16; ``None`` if it cannot be told."""
    for line in _lines(_CPUINFO):
        name, colon, flags = line.partition(":")
        if colon and name.strip() in {"flags", "Features"}:
            return not _FAST_BFLOAT16.isdisjoint(flags.split())
    return None


def _left_in(folder: Path) -> int | None:
    """Return the bytes that a control group leaves, as a whole, or ``None`` without a limit."""
    for limit_name, used_name, cached_name in _MEMORY:
        limit, used = _number(folder / limit_name), _number(folder / used_name)
        if limit is not None and used is not None:
            cached = (line.split() for line in _lines(folder / "memory.stat"))
            files = next((int(row[1]) for row in cached if row and row[0] == cached_name), 0)
            return limit - used + files
    return None


def _quota_in(folder: Path) -> float | None:
    [*both] = " ".join(_lines(folder / "cpu.max")).split()
    if len(both) == 2 and both[0].isdigit():
        return int(both[0]) / int(both[1])
    quota = _number(folder / "cpu.cfs_quota_us")
    period = _number(folder / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None


def _folders(controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control group and of those above it."""
    for line in _lines(_OWN_GROUPS):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        root = _GROUPS / controller if controller in controllers.split(",") else _GROUPS
        if root != _GROUPS or not controllers:
            place = PurePosixPath(path.lstrip("/"))
            yield from (root / group for group in (place, *place.parents))


def _kibibytes(name: str) -> int | None:
    for line in _lines(_MEMINFO):
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


def _number(path: Path) -> int | None:
    """Return the whole number in a file; ``None`` where there is no such file, or no number."""
    text = " ".join(_lines(path))
    return int(text) if text.removeprefix("-").isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except OSError:  # not Linux, or another version of control groups
        return []
