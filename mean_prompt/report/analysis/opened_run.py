"""Open a search run from its folder, and load the corpus and the model that it used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mean_prompt.corpus import Corpus
from mean_prompt.encoder import Encoder
from mean_prompt.optimize import Problem
from mean_prompt.report.analysis.space import CorpusSpace
from mean_prompt.runs import RECIPE, Recipe, RunStatus, SearchResult
from mean_prompt.system import InputError, Listener, ignore


@dataclass(frozen=True, slots=True, eq=False)
class OpenRun:
    """A search run with its model and embedded corpus loaded, for analyses of strings."""

    folder: Path
    recipe: Recipe
    best: str
    result: SearchResult | None
    encoder: Encoder
    problem: Problem
    space: CorpusSpace


def open_run(folder: Path, *, corpus: Sequence[str] = (), listener: Listener = ignore) -> OpenRun:
    """Load a search run with its model and corpus; embeddings come from the cache if it has them.

    Args:
        folder: the run's folder.
        corpus: files of the run's corpus, if they have moved; by default those of its recipe.
        listener: receives the progress of embedding the corpus.

    Raises:
        InputError: there is no such run, it searched for an affix (prefix or suffix), it has no
            string yet, or its corpus or model is missing or has changed.
    """
    status = RunStatus.read(folder)
    recipe = Recipe.load(folder / RECIPE)
    if recipe.context.triples is not None:
        raise InputError(
            f"only runs of a whole string can be analysed in a corpus's space: {folder} searched "
            f"an affix for the predictions in {recipe.context.triples}, which is not supported; "
            "name a run of mean-prompt search with a corpus"
        )
    if status.fault is not None:
        raise InputError(status.fault)
    if status.string is None:
        raise InputError(
            f"a run must have found a string: {folder} holds none yet; wait until it does"
        )
    result = SearchResult.find(folder)
    sources = tuple(corpus) or recipe.corpus.sources
    if not sources:
        raise InputError(
            f"a run's corpus must be in files: {folder} searched one that was in memory; name "
            "files with the same prompts by --corpus"
        )
    prompts = Corpus.from_files(*sources, column=recipe.corpus.column)
    _check_same("corpus", folder, _hash(result, "corpus", "hash"), prompts.content_hash)
    encoder = recipe.model.load()
    kept = _hash(result, "model", "content_hash")
    _check_same("model", folder, kept, encoder.identity.content_hash)
    problem = Problem.build(
        prompts,
        encoder,
        holdout=recipe.corpus.holdout,
        seed=recipe.search.seed,
        listener=listener,
    )
    space = CorpusSpace.of_problem(problem, encoder)
    return OpenRun(folder, recipe, status.string, result, encoder, problem, space)


def _hash(result: SearchResult | None, part: str, name: str) -> str | None:
    """Return the corpus or model hash in a run's result, or ``None`` if there is none."""
    details: Any = {} if result is None else result.details.get(part, {})
    return details.get(name) if isinstance(details, dict) else None


def _check_same(what: str, folder: Path, kept: str | None, found: str) -> None:
    if kept is not None and kept != found:
        remedy = "name its files with --corpus" if what == "corpus" else "restore that model"
        raise InputError(
            f"a run is analysed with its own {what}: that of {folder} has the hash {kept[:16]}, "
            f"found one of {found[:16]}; {remedy}"
        )
