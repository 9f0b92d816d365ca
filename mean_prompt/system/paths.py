"""Paths that a user gives: with ``~``, too long, or no path at all."""

from __future__ import annotations

from pathlib import Path


def user_path(text: str | Path) -> Path:
    """Return a path with a leading ``~`` replaced by the user's home folder, if there is one."""
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:  # no user of that name: the path itself will be missed
        return path


def path_exists(path: Path) -> bool:
    """Return whether there is something at a path; a text that can be no path is not there."""
    try:
        return path.exists()
    except OSError:
        return False
