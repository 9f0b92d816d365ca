"""The option by which a command's models may run code."""

from __future__ import annotations

from typing import Annotated

import typer

Trust = Annotated[
    bool,
    typer.Option(
        "--trust-model",
        help="Load pickled weights, and run code that comes with the models. Default: load "
        "safetensors only, and run no code but the libraries'.",
    ),
]
