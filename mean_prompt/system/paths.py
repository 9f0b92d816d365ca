"""Paths as people give them: with ``~``, too long, or no path at all."""

from __future__ import annotations

from pathlib import Path


def user_path(text: str | Path) -> Path:
    """Return a path with a leading ``~`` spelt out, where it stands for somebody's home."""
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:  # nobody of that name: the path itself is what is looked for, and missed
        return path


def path_exists(path: Path) -> bool:
    """Tell whether something stands at a path; a text that can be no path is not there."""
    try:
        return path.exists()
    except OSError:
        return False
