"""The command line: thin commands over the library, a file a command."""

from __future__ import annotations

import sys
import time

#: When the user started waiting: heavy imports come later, and count against the time limit.
STARTED = time.monotonic()


def main() -> None:
    """Run the command line; an error ends in one line and its exit code."""
    from mean_prompt.cli.app import app
    from mean_prompt.cli.warnings import one_line_warnings
    from mean_prompt.system import MeanPromptError, one_line

    try:
        with one_line_warnings():
            app()
    except MeanPromptError as error:
        print(f"mean-prompt: {one_line(str(error))}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
