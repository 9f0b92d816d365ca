"""``search``, ``search_affix`` and ``score``: what the commands do, for notebooks and programs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mean_prompt.corpus import Corpus, corpus_vectors, default_corpus_folder
from mean_prompt.encoder import Encoder, load_encoder
from mean_prompt.objective import ExpectedSCS, compress_if_large
from mean_prompt.optimize import AffixProblem, Budget, Context, Position, Problem, Scores
from mean_prompt.report import (
    Space,
    analyse_affix,
    write_affix_analysis,
    write_analysis,
    write_report,
)
from mean_prompt.runs import (
    WORKERS,
    AffixRun,
    Listener,
    Recipe,
    RunFolder,
    ScoredString,
    Search,
    SearchResult,
    check_identity,
    check_recipe,
    worth_seconds,
)
from mean_prompt.system import (
    InputError,
    Listener as EventListener,
    ignore,
    parse_duration,
    stopping,
    user_path,
)
from mean_prompt.workers import Conductor, Crew

if TYPE_CHECKING:
    from mean_prompt.hybrid import Listener as PredictListener, Request, Summary

#: Budget of a search that is given neither time nor evaluations.
DEFAULT_BUDGET = "2m"

CorpusLike = Corpus | str | Path | Sequence[str | Path]


def search(  # noqa: PLR0913 - an argument an option
    corpus: CorpusLike | None = None,
    *,
    budget: str | None = None,
    max_evaluations: int | None = None,
    max_tokens: int | None = None,
    seed: int | None = None,
    model: str | Encoder | None = None,
    recipe: Recipe | str | Path | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    workers: int | None = None,
    storage: str | None = None,
    study: str | None = None,
    listener: Listener | None = None,
    started: float | None = None,
) -> SearchResult:
    """Search for the string with the highest expected SCS against a corpus.

    Ctrl-C (or SIGTERM) ends the search at its next step; the result is of what was found, and the
    run can be gone on with.

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
        resume: whether to go on with the run in ``out``, however it ended. What it was begun with
            is taken from there; ``budget`` and ``max_evaluations`` may be given anew and are of
            the whole run, with what was spent before. A run whose budget is spent gives its
            result again.
        workers: processes that climb on this machine, which divide its cores; this process alone
            when left out. They read the corpus from its files, and the model from its folder.
        storage: URL of a database in which workers on other machines can join
            (``mean-prompt worker``): ``postgresql://user:password@host/database``. Without one,
            ``workers`` share a file in the run's folder.
        study: name of the run there; that of its folder when left out.
        listener: called with a :class:`~mean_prompt.runs.progress.Progress` at every step.
        started: when the budget began, by ``time.monotonic``; now, when left out.

    Raises:
        InputError: something given cannot be used.
        RunError: the budget ended before the search could begin.
    """
    began = time.monotonic() if started is None else started
    with _opened(out, resume=resume) as folder:
        plan = _plan(recipe, model, budget, max_evaluations, max_tokens, seed, folder)
        plan = plan.override(corpus={"sources": _specs(corpus)})
        if plan.context.triples is not None:
            raise InputError(
                f"a search goes by a corpus, an affix by a context: the recipe names the triples "
                f"{plan.context.triples}; call search_affix, or leave them out"
            )
        if not isinstance(corpus, Corpus) and not plan.corpus.sources:
            plan = plan.override(corpus={"sources": (str(default_corpus_folder()),)})
        if folder and (found := _finished(folder, plan)):
            return found
        # What is cheap to check goes before the model.
        prompts = corpus if isinstance(corpus, Corpus) else _read_corpus(plan)
        crew = _crew(folder, workers, storage, study)
        if crew and folder:
            _check_shareable(corpus, model)
            with _timed(plan, None, began) as clock:
                encoder = _load(plan)
                result, problem = Conductor(
                    prompts, encoder, plan, clock, out=folder, crew=crew, listener=listener
                ).run()
                return _reported(result, problem, encoder)
        _check_begun(folder, plan, prompts.content_hash)
        with _timed(plan, folder, began) as clock:
            encoder = model if isinstance(model, Encoder) else _load(plan)
            search = Search(prompts, encoder, plan, clock, out=folder, listener=listener)
            return _reported(*search.run(), encoder)


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
    resume: bool = False,
    listener: Listener | None = None,
    started: float | None = None,
) -> SearchResult:
    """Search for the string that, put before or after every prediction, helps the most.

    What is maximised is mean SCS(e(prediction + affix), e(true prompt)) over known rows, less a
    multiple of its standard error. The string found is empty where no affix is better than none.

    Args:
        context: a :class:`Context`, or a file of triples with predictions; the recipe's when
            left out.
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
        resume: as for :func:`search`.
        listener: called with a :class:`~mean_prompt.runs.progress.Progress` at every step.
        started: when the budget began.

    Raises:
        InputError: something given cannot be used.
        RunError: the budget ended before the search could begin.
    """
    began = time.monotonic() if started is None else started
    with _opened(out, resume=resume) as folder:
        plan = _plan(recipe, model, budget, max_evaluations, max_tokens, seed, folder)
        source = None if context is None or isinstance(context, Context) else str(context)
        plan = plan.override(context={"triples": source, "column": column, "position": position})
        _check_affix_plan(plan, context)
        if folder and (found := _finished(folder, plan)):
            return found
        known = context if isinstance(context, Context) else _read_context(plan)
        _check_begun(folder, plan, known.content_hash)
        with _timed(plan, folder, began) as clock:
            encoder = model if isinstance(model, Encoder) else _load(plan)
            run = AffixRun(known, encoder, plan, clock, out=folder, listener=listener)
            result, problem, scores = run.run()
            # Whoever stopped the search waits for its end.
            seconds = 0.0 if clock.stopped else worth_seconds(clock)
            return _affix_reported(result, problem, scores, encoder, seconds)


def score(
    strings: Sequence[str],
    corpus: CorpusLike | None = None,
    *,
    model: str | Encoder | None = None,
    column: str | None = None,
    listener: EventListener = ignore,
    trust: bool = False,
) -> list[ScoredString]:
    """Score strings against a corpus, in float32 over every prompt.

    Args:
        strings: any strings; longer ones than the model reads are cut by it, which
            :attr:`ScoredString.truncated` says.
        corpus: as for :func:`search`.
        model: as for :func:`search`.
        column: of the prompts in the corpus files.
        listener: receives the prompts embedded and all prompts, as a
            :class:`~mean_prompt.system.progress.ProgressEvent`.
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
    vectors = corpus_vectors(prompts, np.arange(len(prompts)), encoder, listener=listener)
    objective = ExpectedSCS(vectors, prompts.weights, device=encoder.device)
    compression = compress_if_large(objective)
    ceiling = objective.ceiling(guide=compression.objective if compression else None).value
    scores = objective.score(encoder.encode(strings)).tolist()
    tokens = [len(ids) for ids in encoder.tokenize(strings)]
    return [
        ScoredString(text, count, value, value / ceiling, ceiling, count > encoder.max_tokens)
        for text, count, value in zip(strings, tokens, scores, strict=True)
    ]


def predict(
    request: Request, *, listener: PredictListener | None = None, started: float | None = None
) -> Summary:
    """Answer every row of a test file, and write the page that shows the answers.

    Args:
        request: what is asked.
        listener: called with what is done, how much of it, and all of it.
        started: when the time limit began, by ``time.monotonic``; now, when left out.

    Raises:
        InputError: something given cannot be used.
    """
    from mean_prompt.hybrid import PredictionJob
    from mean_prompt.report import write_last_page

    job = PredictionJob(request, listener=listener, started=started)
    summary = job.run()
    page, fault = write_last_page(request.out, summary.rows, job.seconds_left())
    notes = (*summary.notes, *([fault] if fault else []))
    return replace(summary, page=page, notes=notes, seconds=job.seconds)


def _reported(result: SearchResult, problem: Problem, encoder: Encoder) -> SearchResult:
    """Write the analysis and the report of a search into its folder, if it has one."""
    if result.out:
        write_analysis(result.out, Space.of_problem(problem, encoder), result.string)
        write_report(result.out)
    return result


def _affix_reported(
    result: SearchResult, problem: AffixProblem, scores: Scores, encoder: Encoder, seconds: float
) -> SearchResult:
    """Write the analysis and the report of an affix into its run's folder, if it has one."""
    if result.out:
        if result.string:
            found = analyse_affix(problem, encoder, result.string, scores, seconds=seconds)
            write_affix_analysis(result.out, found)
        write_report(result.out)
    return result


def _plan(
    recipe: Recipe | str | Path | None,
    model: str | Encoder | None,
    budget: str | None,
    max_evaluations: int | None,
    max_tokens: int | None,
    seed: int | None,
    folder: RunFolder | None,
) -> Recipe:
    """Return the recipe with the arguments that both kinds of search take.

    Raises:
        InputError: the folder's run was asked something else.
    """
    begun = folder.recipe() if folder and folder.resume else None
    plan = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe) if recipe else begun
    plan = (plan or Recipe()).override(
        model={"name": model if isinstance(model, str) else None},
        constraints={"max_tokens": max_tokens},
        search={"budget": budget, "max_evaluations": max_evaluations, "seed": seed},
    )
    if plan.search.budget is None and plan.search.max_evaluations is None:
        limits = begun.search.model_dump() if begun else {"budget": DEFAULT_BUDGET}
        plan = plan.override(search=limits)
    if folder and begun:
        check_recipe(begun, plan, folder.path)
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
def _opened(out: str | Path | None, *, resume: bool) -> Iterator[RunFolder | None]:
    """Open a run's folder, which goes again where the run leaves nothing in it."""
    if out is None:
        if resume:
            raise InputError("a run that is gone on with must be named: give its folder as out")
        yield None
        return
    folder = RunFolder(user_path(out), resume=resume)
    try:
        yield folder
    finally:
        folder.close()


@contextmanager
def _timed(plan: Recipe, folder: RunFolder | None, began: float) -> Iterator[Budget]:
    """Give a run its clock, which signals stop, and which counts what was spent before."""
    seconds = parse_duration(plan.search.budget) if plan.search.budget else None
    spent = folder.snapshots.spent if folder and folder.resume else 0.0
    clock = Budget(seconds, plan.search.max_evaluations, started=began - spent)
    with stopping(clock):
        yield clock


def _crew(
    folder: RunFolder | None, workers: int | None, storage: str | None, study: str | None
) -> Crew | None:
    """Return who is to work on a run, where it is not this process alone.

    Raises:
        InputError: what is asked makes no sense, or is not how the run was begun.
    """
    if workers is not None and workers < 1:
        raise InputError(f"--workers must be at least 1: found {workers}")
    is_asked = workers is not None or storage is not None
    if folder is None:
        if is_asked or study is not None:
            raise InputError("a run by several workers must have a folder: give one as out")
        return None
    is_shared = folder.resume and folder.file(WORKERS).is_dir()
    if folder.resume and is_asked and not is_shared:
        # It would begin anew in that folder, without what one process found and spent.
        raise InputError(
            f"a run goes on as it was begun: {folder.path} is of one process; leave out --workers "
            "and --storage (and MEAN_PROMPT_STORAGE), or begin a new run"
        )
    if study is not None and not (is_asked or is_shared):
        raise InputError(
            f"--study is a run's name among workers: found {study!r} without any; give --workers "
            "or --storage too, or leave it out"
        )
    crew = Crew.of_run(folder.path, storage, study, workers)
    own = Crew.of_run(folder.path, storage, None, workers)
    if is_shared and crew and own and crew.study != own.study:
        raise InputError(
            f"a run goes on in its own study: that of {folder.path} is {own.study!r}, found "
            f"{crew.study!r}; leave out --study, or begin a new run"
        )
    return crew


def _check_shareable(corpus: CorpusLike | None, model: str | Encoder | None) -> None:
    """Refuse what other processes cannot read."""
    if isinstance(corpus, Corpus) or isinstance(model, Encoder):
        what, files = ("corpus", "files") if isinstance(corpus, Corpus) else ("model", "a name")
        raise InputError(
            f"several workers read the {what} themselves: found one in memory; give {files}, or "
            "leave workers and storage out"
        )


def _finished(folder: RunFolder, plan: Recipe) -> SearchResult | None:
    """Return the result of a run that has spent the budget that it is asked to spend."""
    result = SearchResult.find(folder.path) if folder.resume else None
    if result is None or result.stopped:
        return None
    return result if result.details.get("recipe_hash") == plan.content_hash else None


def _check_begun(folder: RunFolder | None, plan: Recipe, corpus_hash: str) -> None:
    """Refuse a corpus or recipe that the folder's run was not begun with, before a model loads."""
    kept = folder.snapshots.state if folder and folder.resume else None
    if kept is not None and folder:
        found = {"corpus": corpus_hash, "recipe": plan.model_dump(mode="json")}
        check_identity(kept["identity"], found, folder.path)


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
