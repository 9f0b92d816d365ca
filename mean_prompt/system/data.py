"""Where the data folders are that ship with the package: corpora and recipes."""

from __future__ import annotations

from pathlib import Path


def shipped_folder(name: str) -> Path:
    """Return the path of a data folder, ``corpora`` or ``search``: in the package or checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_shipped" / name
    # In a checkout the folders are beside the package; a wheel has them inside it.
    return installed if installed.is_dir() else package.parent / name
