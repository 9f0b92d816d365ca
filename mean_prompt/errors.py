"""The two ways in which a run can end badly, each with the exit code of its own."""

from __future__ import annotations

from typing import ClassVar


class MeanPromptError(Exception):
    """An error a user can act on: one line that names the rule, what was found and the remedy."""

    exit_code: ClassVar[int] = 1


class InputError(MeanPromptError):
    """Something given to the program cannot be used: a file, an option, a recipe, a model."""

    exit_code: ClassVar[int] = 2


class RunError(MeanPromptError):
    """The input was good, yet the run could not do its work."""
