"""``search``, ``search_affix`` and ``score``: what the commands do, for notebooks and programs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mean_prompt.affix_pipeline import AffixRun
from mean_prompt.compression import compress_if_large
from mean_prompt.context import Context, Position
from mean_prompt.corpus import Corpus, default_corpus_folder
from mean_prompt.embedding.gather import corpus_vectors
from mean_prompt.encoder import Encoder
from mean_prompt.errors import InputError
from mean_prompt.interrupts import stopping
from mean_prompt.models import load_encoder
from mean_prompt.objective import ExpectedSCS
from mean_prompt.optimize.budget import Budget
from mean_prompt.paths import user_path
from mean_prompt.pipeline import Search
from mean_prompt.recipe import Recipe
from mean_prompt.result import ScoredString, SearchResult
from mean_prompt.run import RunFolder
from mean_prompt.tracker import Listener
from mean_prompt.units import parse_duration
from mean_prompt.vectors import Progress

#: Budget of a search that is given neither time nor evaluations.
DEFAULT_BUDGET = "2m"

CorpusLike = Corpus | str | Path | Sequence[str | Path]


def search(
    corpus: CorpusLike | None = None,
    *,
    budget: str | None = None,
    max_evaluations: int | None = None,
    max_tokens: int | None = None,
    seed: int | None = None,
    model: str | Encoder | None = None,
    recipe: Recipe | str | Path | None = None,
    out: str | Path | None = None,
    listener: Listener | None = None,
    started: float | None = None,
) -> SearchResult:
    """Search for the string with the highest expected SCS against a corpus.

    Ctrl-C (or SIGTERM) ends the search at its next step; the result is of what was found.

    Args:
        corpus: a :class:`Corpus`, or files and folders as on the command line. Without one, the
            recipe's, else ``corpora/`` of the working directory, else the packaged corpora.
        budget: wall-clock time of the whole call, such as ``90s`` or ``2h``; ``2m`` where neither
            it nor ``max_evaluations`` is given here or in the recipe.
        max_evaluations: strings encoded by the search; with it alone a run repeats exactly.
        max_tokens: hard limit on the tokens of the string.
        seed: of every random choice.
        model: a name, a folder or a loaded :class:`Encoder`.
        recipe: everything else; the arguments above go before it.
        out: folder of the run's files; without one nothing is written but caches.
        listener: called with a :class:`~mean_prompt.tracker.Progress` at every step.
        started: when the budget began, by ``time.monotonic``; now, when left out.

    Raises:
        InputError: something given cannot be used.
        RunError: the budget ended before the search could begin.
    """
    began = time.monotonic() if started is None else started
    plan = _plan(recipe, model, budget, max_evaluations, max_tokens, seed)
    plan = plan.override(corpus={"sources": _specs(corpus)})
    if plan.context.triples is not None:
        raise InputError(
            f"a search goes by a corpus, an affix by a context: the recipe names the triples "
            f"{plan.context.triples}; call search_affix, or leave them out"
        )
    if not isinstance(corpus, Corpus) and not plan.corpus.sources:
        plan = plan.override(corpus={"sources": (str(default_corpus_folder()),)})
    # What is cheap to check goes before the model, and a folder is made only for a good corpus.
    prompts = corpus if isinstance(corpus, Corpus) else _read_corpus(plan)
    with _running(plan, out, began) as (clock, folder):
        encoder = model if isinstance(model, Encoder) else _load(plan)
        return Search(prompts, encoder, plan, clock, out=folder, listener=listener).run()


def search_affix(  # noqa: PLR0913 - an argument an option, as for search
    context: Context | str | Path | None = None,
    *,
    column: str | None = None,
    position: Position | None = None,
    budget: str | None = None,
    max_evaluations: int | None = None,
    max_tokens: int | None = None,
    seed: int | None = None,
    model: str | Encoder | None = None,
    recipe: Recipe | str | Path | None = None,
    out: str | Path | None = None,
    listener: Listener | None = None,
    started: float | None = None,
) -> SearchResult:
    """Search for the string that, put before or after every prediction, helps the most.

    What is maximised is mean SCS(e(prediction + affix), e(true prompt)) over known rows, less a
    multiple of its standard error. The string found is empty where no affix is better than none.

    Args:
        context: a :class:`~mean_prompt.context.Context`, or a file of triples with predictions;
            the recipe's when left out.
        column: of the predictions in the file; ``llm_prediction`` when left out.
        position: ``suffix`` (the default) or ``prefix``.
        budget: as for :func:`search`, and so are the other arguments; ``max_tokens`` limits the
            affix alone.
        max_evaluations: strings encoded, one for each row that an affix is tried on.
        max_tokens: hard limit on the tokens of the affix.
        seed: of every random choice, the hold-out among them.
        model: a name, a folder or a loaded :class:`Encoder`.
        recipe: everything else.
        out: folder of the run's files.
        listener: called with a :class:`~mean_prompt.tracker.Progress` at every step.
        started: when the budget began.

    Raises:
        InputError: something given cannot be used.
        RunError: the budget ended before the search could begin.
    """
    began = time.monotonic() if started is None else started
    plan = _plan(recipe, model, budget, max_evaluations, max_tokens, seed)
    source = None if context is None or isinstance(context, Context) else str(context)
    plan = plan.override(context={"triples": source, "column": column, "position": position})
    _check_affix_plan(plan, context)
    known = context if isinstance(context, Context) else _read_context(plan)
    with _running(plan, out, began) as (clock, folder):
        encoder = model if isinstance(model, Encoder) else _load(plan)
        return AffixRun(known, encoder, plan, clock, out=folder, listener=listener).run()


def score(
    strings: Sequence[str],
    corpus: CorpusLike | None = None,
    *,
    model: str | Encoder | None = None,
    column: str | None = None,
    progress: Progress | None = None,
    trust: bool = False,
) -> list[ScoredString]:
    """Score strings against a corpus, in float32 over every prompt.

    Args:
        strings: any strings; longer ones than the model reads are cut by it, which
            :attr:`ScoredString.truncated` says.
        corpus: as for :func:`search`.
        model: as for :func:`search`.
        column: of the prompts in the corpus files.
        progress: called with prompts embedded and all prompts.
        trust: whether a model that is named may run code: load pickled weights, and classes that
            come with it.

    Returns:
        One entry a string, in order.

    Raises:
        InputError: something given cannot be used.
    """
    _check_text(strings)
    sources = _specs(corpus) or (str(default_corpus_folder()),)
    prompts = corpus if isinstance(corpus, Corpus) else Corpus.from_files(*sources, column=column)
    encoder = model if isinstance(model, Encoder) else load_encoder(model, trust=trust)
    vectors = corpus_vectors(prompts, np.arange(len(prompts)), encoder, progress)
    objective = ExpectedSCS(vectors, prompts.weights, device=encoder.device)
    compression = compress_if_large(objective)
    ceiling = objective.ceiling(guide=compression.objective if compression else None).value
    scores = objective.score(encoder.encode(strings)).tolist()
    tokens = [len(ids) for ids in encoder.tokenize(strings)]
    return [
        ScoredString(text, count, value, value / ceiling, ceiling, count > encoder.max_tokens)
        for text, count, value in zip(strings, tokens, scores, strict=True)
    ]


def _plan(
    recipe: Recipe | str | Path | None,
    model: str | Encoder | None,
    budget: str | None,
    max_evaluations: int | None,
    max_tokens: int | None,
    seed: int | None,
) -> Recipe:
    """Return the recipe with the arguments that both kinds of search take."""
    plan = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe) if recipe else Recipe()
    plan = plan.override(
        model={"name": model if isinstance(model, str) else None},
        constraints={"max_tokens": max_tokens},
        search={"budget": budget, "max_evaluations": max_evaluations, "seed": seed},
    )
    if plan.search.budget is None and plan.search.max_evaluations is None:
        plan = plan.override(search={"budget": DEFAULT_BUDGET})
    return plan


def _check_affix_plan(plan: Recipe, context: Context | str | Path | None) -> None:
    if context is None and plan.context.triples is None:
        raise InputError("a search for an affix needs rows: give a context, a file of triples")
    if plan.corpus.sources or plan.corpus.column:
        given = ", ".join(plan.corpus.sources) or f"the column {plan.corpus.column!r}"
        raise InputError(
            f"an affix is searched in a context alone, without a corpus: found {given}; leave out "
            "the one or the other"
        )


@contextmanager
def _running(
    plan: Recipe, out: str | Path | None, began: float
) -> Iterator[tuple[Budget, RunFolder | None]]:
    """Give a run its clock, which signals stop, and its folder, which goes where it stays empty."""
    folder = RunFolder(user_path(out)) if out is not None else None
    seconds = parse_duration(plan.search.budget) if plan.search.budget else None
    clock = Budget(seconds, plan.search.max_evaluations, started=began)
    try:
        with stopping(clock):
            yield clock, folder
    finally:
        if folder:
            folder.discard_if_empty()


def _check_text(strings: Sequence[str]) -> None:
    """Refuse what no tokenizer takes, such as an argument that is not UTF-8."""
    for text in strings:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"a string to score must be Unicode text: character {error.start + 1} of {text!r} "
                "is none; mind the terminal's encoding"
            ) from error


def _specs(corpus: CorpusLike | None) -> tuple[str, ...] | None:
    if corpus is None or isinstance(corpus, Corpus):
        return None
    if isinstance(corpus, (str, Path)):
        return (str(corpus),)
    return tuple(str(spec) for spec in corpus) or None


def _read_corpus(recipe: Recipe) -> Corpus:
    return Corpus.from_files(*recipe.corpus.sources, column=recipe.corpus.column)


def _read_context(recipe: Recipe) -> Context:
    section = recipe.context
    assert section.triples is not None
    return Context.from_file(user_path(section.triples), section.column)


def _load(recipe: Recipe) -> Encoder:
    chosen = recipe.model
    return load_encoder(
        chosen.name, device=chosen.device, screening=chosen.screening, trust=chosen.trust
    )
