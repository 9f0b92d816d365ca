"""Exceptions for errors that a user can act on, each with the exit code of the command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar


class MeanPromptError(Exception):
    """An error that a user can act on: one line with the rule, the value found and the remedy."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str = "") -> None:
        # A name in the message may hold a newline.
        super().__init__(" ".join(message.splitlines()))


class InputError(MeanPromptError):
    """Raised if a file, option, recipe or model that the user gave cannot be used."""

    exit_code: ClassVar[int] = 2


class RunError(MeanPromptError):
    """Raised if a run failed although its input was valid."""


def unwritable(path: Path, error: OSError) -> RunError:
    """Return the error to raise if a run can no longer read or write one of its files."""
    return RunError(
        f"the run's files must stay writable: {path}: {error.strerror or error}; what was written "
        "before is whole"
    )


@contextmanager
def os_errors(
    rule: str, path: Path, remedy: str, *, raises: type[MeanPromptError] = InputError
) -> Iterator[None]:
    """Turn an ``OSError`` in the block into an error of one line: rule, reason and remedy.

    ``rule`` is what must hold, such as ``a recipe must be a file that can be read``.
    """
    try:
        yield
    except OSError as error:
        raise raises(f"{rule}: {path}: {error.strerror or error}; {remedy}") from error
