"""The option that names a shared storage, for the commands that have it."""

from __future__ import annotations

from typing import Annotated

import typer

Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="MEAN_PROMPT_STORAGE",
        help="Database that workers share: postgresql://USER:PASSWORD@HOST/DATABASE, or "
        "sqlite:///FILE.db on one machine. Default: a file in the run's folder.",
        show_default=False,
        show_envvar=True,
    ),
]
