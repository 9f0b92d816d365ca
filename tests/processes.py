"""Commands in processes of their own, which are forked from one that has imported the libraries.

Importing them takes ten seconds of a core, far more than most commands then do. What is forked is
a process like any other: it is killed, paused and waited for by the system.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path

_FORKING = multiprocessing.get_context("forkserver")
# Without the command line, whose clock starts as it is imported.
_FORKING.set_forkserver_preload(
    ["sentence_transformers", "mean_prompt.api", "mean_prompt.hybrid.job"]
)


def _nothing() -> None:
    """Prepare nothing."""


class Command:
    """A command that runs, as :class:`subprocess.Popen` would have it.

    Args:
        arguments: of ``mean-prompt``.
        log: what it says goes there.
        folder: to run in.
        environment: variables to set beside those of the first command of all.
        prepare: called in the process before the command; a function of a module.
    """

    def __init__(
        self, arguments, *, log: Path, folder: Path, environment=(), prepare=_nothing
    ) -> None:
        self.log = log
        log.touch()
        asked = (list(map(str, arguments)), log, folder, dict(environment), prepare)
        self._process = _FORKING.Process(target=_run, args=asked)
        self._process.start()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, or ``None`` while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for its end; return as :meth:`poll` does."""
        self._process.join(seconds)
        return self.poll()

    def send_signal(self, number: int) -> None:
        """Send a signal to a process that was not waited for."""
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        self._process.kill()


def _run(
    arguments: list[str],
    log: Path,
    folder: Path,
    environment: dict[str, str],
    prepare: Callable[[], None],
) -> None:
    os.environ.update(environment)
    os.chdir(folder)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(written, 1)
    os.dup2(written, 2)
    prepare()
    sys.argv = ["mean-prompt", *arguments]
    from mean_prompt import cli

    cli.main()
