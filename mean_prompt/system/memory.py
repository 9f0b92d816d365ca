"""Memory that this process can still have, also inside a container."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_MEMINFO: Final = Path("/proc/meminfo")
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


def available_memory() -> int | None:
    """Return the bytes this process can allocate without swapping, or ``None`` if unknown."""
    available = _entry(_MEMINFO, "MemAvailable:")
    free = [] if available is None else [available * 1024]
    for limit_name, used_name, table, cached in _LIMITS:
        limit, used = read_system_file(_GROUPS / limit_name), read_system_file(_GROUPS / used_name)
        if limit.isdigit() and used.isdigit():
            free.append(int(limit) - int(used) + (_entry(_GROUPS / table, cached) or 0))
    return max(0, min(free)) if free else None


def _entry(path: Path, name: str) -> int | None:
    """Return the number that follows a name in a system file such as ``/proc/meminfo``."""
    rows = (line.split() for line in read_system_file(path).splitlines())
    return next((int(row[1]) for row in rows if row and row[0] == name), None)


def read_system_file(path: Path) -> str:
    """Return a system file's text, or nothing if this system has no such file."""
    try:
        return path.read_text("utf-8").strip()
    except OSError:  # not Linux, or another version of control groups
        return ""


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
