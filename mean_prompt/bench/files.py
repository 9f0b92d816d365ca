"""The folder that a benchmark writes its report into."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mean_prompt.system import InputError, RunError, user_path, write_atomically


class ReportFolder:
    """A folder of reports; each file is replaced as a whole.

    Args:
        path: made if need be, with its parents; files of an earlier benchmark are replaced.

    Raises:
        InputError: the folder cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = user_path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise InputError(
                f"--out must be a folder that can be written: {path}: {error.strerror}; choose "
                "another"
            ) from error

    def write(self, name: str, text: str) -> None:
        """Write a file beside its place and move it there, so that it is old or new, never part."""
        target = self.path / name
        try:
            write_atomically(target, text.encode())
        except OSError as error:
            raise RunError(
                f"the report must stay writable: {target}: {error.strerror or error}"
            ) from error
