"""The inputs of a search (data, model, recipe, limits, folder) as one object."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any, Final, Generic, TypeVar

from mean_prompt.corpus import Corpus
from mean_prompt.encoder import Encoder
from mean_prompt.optimize import Budget, Context
from mean_prompt.runs.checkpoint import Resumer
from mean_prompt.runs.folder import RunFolder
from mean_prompt.runs.progress import ProgressReporter, SearchListener
from mean_prompt.runs.recipe import Recipe
from mean_prompt.system import ignore

Data = TypeVar("Data", Corpus, Context)

_PACKAGES: Final = ("torch", "sentence-transformers", "transformers", "optuna", "numpy")


@dataclass(frozen=True)
class SearchInputs(Generic[Data]):
    """Everything that one search needs: data, model, recipe, limits, folder and listener.

    Attributes:
        data: the corpus to find a string for, or the context (predictions) to find an affix for.
        recipe: all settings. It only records the names of the corpus and the model.
        folder: the run's folder, or ``None`` to keep nothing on disk.
        sources: files that the corpus was read from, as given; empty for a corpus in memory.
    """

    data: Data
    encoder: Encoder
    recipe: Recipe
    budget: Budget
    folder: RunFolder | None = None
    listener: SearchListener = ignore
    sources: Sequence[str] = ()

    @cached_property
    def reporter(self) -> ProgressReporter:
        """Reporter of this search's notes and of the progress of embedding."""
        return ProgressReporter(self.listener, self.budget, len(self.data))

    @cached_property
    def recorded(self) -> Recipe:
        """The recipe as written into the run's folder, with the corpus files filled in."""
        return self.recipe.recorded(self.sources)

    def identity(self) -> dict[str, Any]:
        """Return what identifies a run, to compare when it is resumed.

        Corpus, model and recipe must be the same. The other entries may differ from machine to
        machine; then the last bits of vectors differ, and so may the search.
        """
        import torch

        return {
            "corpus": self.data.content_hash,
            "model": self.encoder.identity.content_hash,
            "recipe": self.recipe.model_dump(mode="json"),
            "device": self.encoder.device,
            "screening": self.encoder.screening.dtype,
            "threads": torch.get_num_threads(),
            "torch": version("torch"),
            "mean_prompt": version("mean-prompt"),
        }

    def announce(self) -> None:
        """Report notes on the corpus or context and on the model to the listener."""
        data, screening = self.data, self.encoder.screening
        self.reporter.notes(
            *(data.cleaning() if isinstance(data, Corpus) else data.notes),
            f"{self.encoder.identity.name} on {self.encoder.device}, screening in "
            f"{screening.dtype}",
            *([screening.notice] if screening.notice else []),
        )

    def begin(self) -> Resumer:
        """Report the inputs, write the recipe, and return the resumer with any saved state."""
        folder = self.folder
        self.announce()
        resumer = Resumer(folder.checkpoint if folder else None, self.budget, self.identity())
        if notes := resumer.notes():
            self.reporter.notes(*notes)
        if folder:
            folder.write_recipe(self.recorded)
            if folder.resume:
                # Work after the last checkpoint is repeated, and its events are written again.
                folder.cut_events(resumer.state["events"] if resumer.state else 0)
            if resumer.state:
                folder.log_resume(self.budget.elapsed, self.budget.evaluations)
        return resumer

    def details(self) -> dict[str, Any]:
        """Return the fields of ``result.json`` on model, recipe and versions."""
        return {
            "seed": self.recipe.search.seed,
            "model": asdict(self.encoder.identity) | {"device": self.encoder.device},
            "screening": asdict(self.encoder.screening),
            "recipe_hash": self.recorded.content_hash,
            "versions": {
                "mean-prompt": version("mean-prompt"),
                "python": platform.python_version(),
            }
            | {package: version(package) for package in _PACKAGES},
        }
