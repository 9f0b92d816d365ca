"""A run opened again from its folder: its corpus and its model, as the run had them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mean_prompt.corpus import Corpus
from mean_prompt.encoder import Encoder, load_encoder
from mean_prompt.optimize import Problem
from mean_prompt.report.analysis.space import Space
from mean_prompt.runs import BEST, RECIPE, Recipe, SearchResult
from mean_prompt.system import InputError, Listener, ignore, path_exists


@dataclass(frozen=True, slots=True, eq=False)
class OpenRun:
    """A run of a whole string, finished or not, with all that its strings are looked at with.

    Attributes:
        folder: of the run.
        recipe: what it was asked.
        best: its best string so far.
        result: what it found, or ``None`` where it has not finished.
        encoder: the model.
        problem: the corpus in the model's space, split as the run split it.
        space: in which strings are looked at.
    """

    folder: Path
    recipe: Recipe
    best: str
    result: SearchResult | None
    encoder: Encoder
    problem: Problem
    space: Space


def open_run(
    folder: Path,
    *,
    corpus: Sequence[str] = (),
    listener: Listener = ignore,
) -> OpenRun:
    """Open a run again; vectors come from the cache where it has them.

    Args:
        folder: of the run.
        corpus: where its corpus is now; where the recipe says when left out.
        listener: receives the prompts embedded and all prompts.

    Raises:
        InputError: there is no such run, it searched an affix, it has no string yet, its corpus
            or model is not to be had, or is no longer what it was.
    """
    recipe, result = _recipe(folder), SearchResult.find(folder)
    _check_whole(folder, recipe)
    best = _best(folder)
    prompts = _corpus(folder, recipe, corpus)
    _check_same("corpus", folder, _hash(result, "corpus", "hash"), prompts.content_hash)
    chosen = recipe.model
    encoder = load_encoder(
        chosen.name, device=chosen.device, screening=chosen.screening, trust=chosen.trust
    )
    kept = _hash(result, "model", "content_hash")
    _check_same("model", folder, kept, encoder.identity.content_hash)
    problem = Problem.build(
        prompts,
        encoder,
        holdout=recipe.corpus.holdout,
        seed=recipe.search.seed,
        listener=listener,
    )
    space = Space.of_problem(problem, encoder)
    return OpenRun(folder, recipe, best, result, encoder, problem, space)


def _recipe(folder: Path) -> Recipe:
    if not path_exists(folder / RECIPE):
        raise InputError(
            f"a run's folder must hold its {RECIPE}: {folder} holds none; name the folder that a "
            "search was given as --out"
        )
    return Recipe.load(folder / RECIPE)


def _check_whole(folder: Path, recipe: Recipe) -> None:
    if recipe.context.triples is not None:
        raise InputError(
            f"only runs of a whole string can be looked at in a corpus's space: {folder} searched "
            f"an affix for the predictions in {recipe.context.triples}, which is not supported; "
            "name a run of mean-prompt search with a corpus"
        )


def _best(folder: Path) -> str:
    try:
        return (folder / BEST).read_text("utf-8")
    except FileNotFoundError as error:
        raise InputError(
            f"a run must have found a string: {folder} holds no {BEST} yet; wait until it does"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"a run's best string must be readable as UTF-8: {folder / BEST}: {error}"
        ) from error


def _corpus(folder: Path, recipe: Recipe, given: Sequence[str]) -> Corpus:
    sources = tuple(given) or recipe.corpus.sources
    if not sources:
        raise InputError(
            f"a run's corpus must be in files: {folder} searched one that was in memory; name "
            "files with the same prompts as the corpus"
        )
    return Corpus.from_files(*sources, column=recipe.corpus.column)


def _hash(result: SearchResult | None, part: str, name: str) -> str | None:
    """Return a hash that a finished run wrote down."""
    details: Any = {} if result is None else result.details.get(part, {})
    return details.get(name) if isinstance(details, dict) else None


def _check_same(what: str, folder: Path, kept: str | None, found: str) -> None:
    if kept is not None and kept != found:
        remedy = "name it as it was with --corpus" if what == "corpus" else "bring that one back"
        raise InputError(
            f"a run is looked at with its own {what}: that of {folder} has the hash {kept[:16]}, "
            f"found one of {found[:16]}; {remedy}"
        )
