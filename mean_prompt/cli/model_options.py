"""The option of every command that takes a model: whether it may run code."""

from __future__ import annotations

from typing import Annotated

import typer

Trust = Annotated[
    bool,
    typer.Option(
        "--trust-model",
        help="Load pickled weights, and run code that comes with the models that are named. "
        "Default: safetensors and the libraries' own code alone.",
    ),
]
