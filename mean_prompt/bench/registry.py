"""The search methods by name: the project's engine and its peers."""

from __future__ import annotations

from collections.abc import Sequence

from mean_prompt.bench.method import Method
from mean_prompt.runs import Recipe
from mean_prompt.system import InputError

#: The project's own method; the others are its peers.
OWN = "mean-prompt"


def methods(recipe: Recipe) -> dict[str, Method]:
    """Return every method by its name, the project's own first, with the recipe's settings."""
    from mean_prompt.bench.engine import Engine
    from mean_prompt.bench.peers import PEERS

    return {OWN: Engine(recipe.climb, recipe.study), **PEERS}


def choose_methods(names: Sequence[str] | None, recipe: Recipe) -> dict[str, Method]:
    """Return the methods of these names, in this order; all of them when left out.

    Raises:
        InputError: a name is unknown, or stands twice.
    """
    known = methods(recipe)
    chosen = list(known) if names is None else list(names)
    for name in chosen:
        if name not in known:
            raise InputError(
                f"--methods must be among {', '.join(known)}: found {name!r}; separate them by "
                "commas"
            )
    if not chosen or len(set(chosen)) < len(chosen):
        raise InputError(f"--methods must name each method once: found {','.join(chosen)!r}")
    return {name: known[name] for name in chosen}
