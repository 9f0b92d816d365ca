"""Choose the progress display for a terminal, a Jupyter notebook or a log file."""

from __future__ import annotations

from rich.console import Console

from mean_prompt.report.progress.terminal import Display, LiveDisplay, LogDisplay


def progress_display(*, quiet: bool = False, log: bool = True) -> Display:
    """Return a progress display for this terminal, notebook or log: a context manager and listener.

    ::

        with progress_display() as listener:
            result = search("prompts.csv", listener=listener)

    In a Jupyter notebook and on a terminal it is redrawn in place; elsewhere, as in a log file, it
    prints a few lines. The display writes to standard error, except in a notebook, so that
    standard output holds the result alone.

    Args:
        quiet: whether to show nothing.
        log: whether to print lines if nothing can be redrawn in place.
    """
    console = Console(stderr=True, highlight=False)
    if quiet:
        return Display(console)
    if console.is_jupyter:
        from mean_prompt.report.progress.notebook import NotebookDisplay

        return NotebookDisplay(console)
    if console.is_terminal:
        return LiveDisplay(console)
    return LogDisplay(console) if log else Display(console)
