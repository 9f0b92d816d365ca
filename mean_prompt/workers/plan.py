"""What the workers of a study are to do, as the storage says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from mean_prompt.corpus import Corpus
from mean_prompt.encoder import Encoder
from mean_prompt.runs import Recipe
from mean_prompt.system import InputError


@dataclass(frozen=True, slots=True)
class Plan:
    """What all workers of a study share.

    Attributes:
        recipe: what to do; its budget is in the registry.
        corpus: hash of the prompts.
        model: hash of the model's files, and ``name`` what it is called.
    """

    recipe: Recipe
    corpus: str
    model: str
    name: str

    @classmethod
    def of(cls, recipe: Recipe, corpus: Corpus, encoder: Encoder) -> Self:
        """Return the plan of a run."""
        identity = encoder.identity
        return cls(recipe, corpus.content_hash, identity.content_hash, identity.name)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the registry; a budget, which may change, is not among them."""
        recipe = self.recipe.model_dump(mode="json")
        recipe["search"] |= {"budget": None, "max_evaluations": None}
        return {
            "recipe": recipe,
            "corpus": self.corpus,
            "model": self.model,
            "name": self.name,
        }

    @classmethod
    def of_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what :meth:`as_dict` made.

        Raises:
            InputError: the recipe is of another version.
        """
        recipe = Recipe.parse(data["recipe"], where="the study")
        return cls(recipe, data["corpus"], data["model"], data["name"])

    def check_corpus(self, corpus: Corpus) -> None:
        """Refuse another corpus than the run's.

        Raises:
            InputError: it is another.
        """
        if corpus.content_hash != self.corpus:
            raise InputError(
                f"a worker must hold the study's own corpus: found {len(corpus):,} prompts with "
                f"the hash {corpus.content_hash[:16]}, the study's is {self.corpus[:16]}; give "
                "the same files"
            )

    def check_model(self, encoder: Encoder) -> None:
        """Refuse another model than the run's.

        Raises:
            InputError: it is another.
        """
        found = encoder.identity
        if found.content_hash != self.model:
            raise InputError(
                f"a worker must hold the study's own model: found {found.name} with the hash "
                f"{found.content_hash[:16]}, the study's is {self.name} with {self.model[:16]}; "
                "give its folder as --model"
            )
