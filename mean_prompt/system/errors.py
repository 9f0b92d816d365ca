"""The two ways in which a run can end badly, each with the exit code of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar


class MeanPromptError(Exception):
    """An error a user can act on: one line that names the rule, what was found and the remedy."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str = "") -> None:
        # Even where a name in the message holds a newline.
        super().__init__(" ".join(message.splitlines()))


class InputError(MeanPromptError):
    """Something given to the program cannot be used: a file, an option, a recipe, a model."""

    exit_code: ClassVar[int] = 2


class RunError(MeanPromptError):
    """The input was good, yet the run could not do its work."""


def unwritable(path: Path, error: OSError) -> RunError:
    """Return the error of a run whose file could not be read or written on the way."""
    return RunError(
        f"the run's files must stay writable: {path}: {error.strerror or error}; what was written "
        "before is whole"
    )


@contextmanager
def os_errors(
    rule: str, path: Path, remedy: str, *, raises: type[MeanPromptError] = InputError
) -> Iterator[None]:
    """Turn what the system says of a file into one line: the rule, the file and why, the remedy.

    Args:
        rule: what must hold: ``a recipe must be a file that can be read``.
        path: of the file or folder.
        remedy: what to do.
        raises: the error to raise in place of an :class:`OSError`.
    """
    try:
        yield
    except OSError as error:
        raise raises(f"{rule}: {path}: {error.strerror or error}; {remedy}") from error
