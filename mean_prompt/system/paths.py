"""File paths as a user types them: they may start with ``~``, be too long, or be no path."""

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
    """Return whether a file or folder exists at a path; ``False`` if it cannot be a path."""
    try:
        return path.exists()
    except OSError:
        return False
