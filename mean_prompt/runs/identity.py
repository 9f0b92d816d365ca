"""What a run is of: corpus, model, recipe, versions, for results and for going on with it."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, Final

import torch

from mean_prompt.encoder import Encoder
from mean_prompt.runs.recipe import Recipe

_PACKAGES: Final = ("torch", "sentence-transformers", "transformers", "optuna", "numpy")


def model_notes(encoder: Encoder) -> list[str]:
    """Return what the user should know of the model, a line each."""
    screening = encoder.screening
    notes = [f"{encoder.identity.name} on {encoder.device}, screening in {screening.dtype}"]
    return [*notes, screening.notice] if screening.notice else notes


def run_identity(encoder: Encoder, recipe: Recipe, corpus_hash: str) -> dict[str, Any]:
    """Return what a run is of, which must be the same where it is gone on with.

    What follows the recipe may differ from machine to machine, and then the last bits of vectors
    do, and with them a search.
    """
    return {
        "corpus": corpus_hash,
        "model": encoder.identity.content_hash,
        "recipe": recipe.model_dump(mode="json"),
        "device": encoder.device,
        "screening": encoder.screening.dtype,
        "threads": torch.get_num_threads(),
        "torch": version("torch"),
        "mean_prompt": version("mean-prompt"),
    }


def run_details(encoder: Encoder, recipe: Recipe) -> dict[str, Any]:
    """Return what ``result.json`` says of model, recipe and versions, whatever was searched."""
    return {
        "seed": recipe.search.seed,
        "model": encoder.identity.as_dict() | {"device": encoder.device},
        "screening": asdict(encoder.screening),
        "recipe_hash": recipe.content_hash,
        "versions": {"mean-prompt": version("mean-prompt"), "python": platform.python_version()}
        | {package: version(package) for package in _PACKAGES},
    }
