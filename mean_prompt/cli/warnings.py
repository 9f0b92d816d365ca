"""Warnings as one line on standard error."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from mean_prompt.system import one_line


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Print warnings without their place in the code, which means nothing to a user."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _print_line
        yield


def _print_line(message: Warning | str, *_: object, **__: object) -> None:
    print(f"mean-prompt: warning: {one_line(str(message))}", file=sys.stderr)  # noqa: T201
