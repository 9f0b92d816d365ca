"""The command line: thin commands over the library, a file a command."""

from __future__ import annotations

import sys
import time

#: When the user started waiting; heavy imports come later and count against the budget.
STARTED = time.monotonic()


def main() -> None:
    """Run the command line; a user's mistake ends in one line and exit code 2."""
    from mean_prompt.cli.app import app
    from mean_prompt.errors import MeanPromptError

    try:
        app()
    except MeanPromptError as error:
        # One line, even where a name in the message holds a newline.
        line = " ".join(str(error).splitlines())
        print(f"mean-prompt: {line}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
