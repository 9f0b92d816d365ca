"""The Python API, for notebooks and programs: search, search_affix, score and predict."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import Corpus, corpus_vectors, default_corpus_folder, unit_vectors
from mean_prompt.encoder import Encoder, choose_device, load_encoder
from mean_prompt.objective import ExpectedSCS, compress_if_large
from mean_prompt.optimize import Alphabet, Budget, Constraints, Context, Position
from mean_prompt.report import (
    CorpusSpace,
    analyse_affix,
    write_affix_analysis,
    write_analysis,
    write_report,
)
from mean_prompt.runs import (
    AffixSession,
    Inversion,
    Recipe,
    RunFolder,
    ScoredString,
    SearchInputs,
    SearchListener,
    SearchResult,
    SearchSession,
    begun_recipe,
    check_recipe,
    fitting,
    invert_vectors,
    on_cluster,
    team_of,
    worth_seconds,
)
from mean_prompt.system import (
    Cluster,
    Deadline,
    InputError,
    Listener,
    Team,
    ignore,
    parse_duration,
    stopping,
    user_path,
)

if TYPE_CHECKING:
    from mean_prompt.hybrid import Request, Summary
    from mean_prompt.system import RayPlacement

#: Time limit of a search that is given neither a time nor a number of evaluations.
DEFAULT_BUDGET = "2m"
#: Seconds of a search's budget that it takes to leave a Ray cluster, and to stop one of its own.
_LEAVING = 1.5

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
    ray: str | None = None,
    listener: SearchListener = ignore,
    started: float | None = None,
) -> SearchResult:
    """Search for the string with the highest expected SCS (sharpened cosine) against a corpus.

    Ctrl-C (or SIGTERM) ends the search at its next step. It returns what was found so far, and
    the run can be resumed.

    Args:
        corpus: a :class:`Corpus`, or files and folders as on the command line
            (``NAME=PATH:WEIGHT``). Default: those of the recipe, else ``corpora/`` in the working
            directory, else the corpus that ships with the package.
        budget: wall-clock time of the whole call, such as ``90s`` or ``2h``. Default: the
            recipe's, else ``2m`` unless ``max_evaluations`` is given.
        max_evaluations: number of strings to encode at most. Without a ``budget``, a run with the
            same seed repeats exactly.
        max_tokens: most tokens of the string.
        seed: seed of every random choice.
        model: a folder or a name on the hub, or a loaded :class:`Encoder`.
        recipe: a :class:`Recipe`, a TOML file, or the name of a packaged recipe. The other
            arguments take precedence over it.
        out: folder for the run's files. Without one, nothing is written but caches.
        resume: whether to resume the run in ``out``, however it ended. Corpus, model and recipe
            are the run's own; a new ``budget`` or ``max_evaluations`` counts what was spent
            before. A run that has spent its budget returns its result again.
        workers: number of climbers, each a process of one thread; 1 climbs in this process.
            Default: one a physical core; 1 on a GPU, or without a ``budget``. On a cluster: one
            per CPU, or per GPU if the model is on one.
        ray: the Ray cluster that climbers run on: ``local`` starts one on this machine, ``auto``
            or ``HOST:PORT`` joins one that this machine is part of. Default: none, climbers are
            processes of this machine.
        listener: called with a :class:`~mean_prompt.runs.progress.SearchProgress` at every step.
        started: when the budget began, by ``time.monotonic``. Default: now.

    Raises:
        InputError: an argument, a file or the run in ``out`` cannot be used.
        RunError: the budget ended before the search could begin, or climbers died repeatedly.
    """
    began = time.monotonic() if started is None else started
    cluster = None if ray is None else _cluster(ray, workers)
    with _run_folder(out, resume=resume) as folder:
        asked = _asked(recipe, model, budget, max_evaluations, max_tokens, seed, folder)
        if asked.context.triples is not None:
            raise InputError(
                f"a search needs a corpus, and an affix a context: the recipe names the triples "
                f"{asked.context.triples}; call search_affix, or leave them out"
            )
        sources = _sources(corpus, asked, resume=resume)
        if folder and (done := _finished(folder, asked.recorded(sources))):
            return done
        if not isinstance(corpus, Corpus):
            corpus = Corpus.from_files(*sources, column=asked.corpus.column)
        _check_begun(folder, asked, corpus)
        if workers is None and asked.search.budget is None:
            workers = 1
        with _budget(asked, folder, began) as limits, _members(cluster, asked, model) as members:
            encoder = model if isinstance(model, Encoder) else asked.model.load()
            inputs = SearchInputs(corpus, encoder, asked, limits, folder, listener, sources)
            with _climbers(inputs, workers, members) as team:
                result, problem = SearchSession(inputs, team).run()
            if result.out:
                write_analysis(result.out, CorpusSpace.of_problem(problem, encoder), result.string)
                write_report(result.out)
            return result


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
    listener: SearchListener = ignore,
    started: float | None = None,
) -> SearchResult:
    """Search for the affix (a string) that improves predictions most when added to each of them.

    The search maximises the mean of SCS(e(prediction + affix), e(true prompt)) over rows with a
    true prompt, less a multiple of its standard error. The string it returns is empty if no affix
    is better than none.

    Arguments and errors are those of :func:`search`, but for these:

    - ``context``: a :class:`Context`, or a file of triples with predictions. Default: the recipe's.
    - ``column``: the predictions' column in the file. Default: ``llm_prediction``.
    - ``position``: ``suffix`` (the default) or ``prefix``.
    - ``max_evaluations``: number of strings to encode at most, one for each row that an affix is
      tried on.
    - ``max_tokens``: most tokens of the affix alone.
    """
    began = time.monotonic() if started is None else started
    with _run_folder(out, resume=resume) as folder:
        asked = _asked(recipe, model, budget, max_evaluations, max_tokens, seed, folder)
        file = None if context is None or isinstance(context, Context) else str(context)
        asked = asked.override(context={"triples": file, "column": column, "position": position})
        _check_affix(asked, context)
        if folder and (done := _finished(folder, asked)):
            return done
        rows = context if isinstance(context, Context) else _read_context(asked)
        _check_begun(folder, asked, rows)
        with _budget(asked, folder, began) as limits:
            encoder = model if isinstance(model, Encoder) else asked.model.load()
            inputs = SearchInputs(rows, encoder, asked, limits, folder, listener)
            result, problem, scores = AffixSession(inputs).run()
            if result.out and result.string:
                # The user who stopped the search waits for its end.
                deadline = Deadline(0.0 if limits.stopped else worth_seconds(limits))
                found = analyse_affix(problem, encoder, result.string, scores, deadline=deadline)
                write_affix_analysis(result.out, found)
            if result.out:
                write_report(result.out)
            return result


def score(
    strings: Sequence[str],
    corpus: CorpusLike | None = None,
    *,
    model: str | Encoder | None = None,
    column: str | None = None,
    listener: Listener = ignore,
    trust: bool = False,
) -> list[ScoredString]:
    """Return the expected SCS (sharpened cosine) of each string over a corpus, in float32.

    Args:
        strings: any strings. The model reads only the beginning of one that is too long, which
            :attr:`ScoredString.truncated` reports.
        corpus: as for :func:`search`.
        model: as for :func:`search`.
        column: the prompts' column in the corpus files. Default: guessed.
        listener: called with a :class:`~mean_prompt.system.progress.ProgressEvent` as the prompts
            are embedded.
        trust: whether a model given by name may run code: load pickled weights, and classes that
            come with it.

    Raises:
        InputError: a string, the corpus or the model cannot be used.
    """
    _check_text(strings)
    prompts = _corpus(corpus, column)
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


def invert(
    given: NDArray[Any] | Sequence[str],
    *,
    corpus: CorpusLike | None = None,
    model: str | Encoder | None = None,
    max_tokens: int = 32,
    alphabet: Alphabet = "ascii",
    evaluations: int = 1_000,
    workers: int | None = None,
    seed: int = 0,
    listener: Listener = ignore,
    trust: bool = False,
) -> list[Inversion]:
    """Search for strings whose vectors are nearest to given ones, or to those of given texts.

    No model is trained: each string is searched for by edits of a prompt of the corpus. Strings
    for the vectors of texts say the same as these in other words, as far as the model can tell.

    Args:
        given: an (n, d) array of vectors of any length but 0, or n texts.
        corpus: as for :func:`search`: prompts to begin with, whose tokens and phrases are put in.
        model: as for :func:`search`; the model that made the vectors.
        max_tokens: most tokens of a string.
        alphabet: characters that strings may have, as in a recipe's constraints.
        evaluations: strings to encode for each vector.
        workers: processes of one thread that search. Default: one a physical core; 1 on a GPU.
        seed: seed of every random choice.
        listener: called with a :class:`~mean_prompt.system.progress.ProgressEvent` at every step.
        trust: as for :func:`score`.

    Raises:
        InputError: a vector, a text, the corpus or the model cannot be used.
    """
    if not len(given):
        raise InputError("there must be something to invert: found no vector and no text")
    if not isinstance(given, np.ndarray):
        _check_text(given)
    prompts = _corpus(corpus, None)
    encoder = model if isinstance(model, Encoder) else load_encoder(model, trust=trust)
    vectors = (
        unit_vectors(given, encoder.dimension)
        if isinstance(given, np.ndarray)
        else encoder.encode(given)
    )
    constraints = Constraints(max_tokens=max_tokens, alphabet=alphabet)
    size, _ = fitting(workers, encoder.device)
    with team_of(encoder, size) as team:
        return invert_vectors(
            vectors,
            encoder,
            prompts,
            constraints,
            team,
            evaluations=evaluations,
            seed=seed,
            listener=listener,
        )


def predict(
    request: Request, *, listener: Listener = ignore, started: float | None = None
) -> Summary:
    """Predict the prompt of every row of a test file; write them, and a page that shows them.

    Args:
        request: the files, the string for rows about which nothing is known, and the options.
        listener: receives a :class:`~mean_prompt.system.progress.ProgressEvent` at every step.
        started: when the time limit began, by ``time.monotonic``. Default: now.

    Raises:
        InputError: a file or an option cannot be used.
    """
    from mean_prompt.hybrid import PredictionJob
    from mean_prompt.report import write_last_page

    job = PredictionJob(request, listener=listener, started=started)
    summary = job.run()
    page, fault = write_last_page(request.out, summary.rows, job.limit.remaining)
    notes = (*summary.notes, *([fault] if fault else []))
    return replace(summary, page=page, notes=notes, seconds=job.limit.elapsed)


def _cluster(ray: str, workers: int | None) -> Cluster:
    cluster = Cluster(ray, workers)
    cluster.check()
    return cluster


def _asked(
    recipe: Recipe | str | Path | None,
    model: str | Encoder | None,
    budget: str | None,
    max_evaluations: int | None,
    max_tokens: int | None,
    seed: int | None,
    folder: RunFolder | None,
) -> Recipe:
    begun = begun_recipe(folder.path) if folder and folder.resume else None
    asked = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe) if recipe else begun
    asked = (asked or Recipe()).override(
        model={"name": model if isinstance(model, str) else None},
        constraints={"max_tokens": max_tokens},
        search={"budget": budget, "max_evaluations": max_evaluations, "seed": seed},
    )
    if asked.search.budget is None and asked.search.max_evaluations is None:
        limits = begun.search.model_dump() if begun else {"budget": DEFAULT_BUDGET}
        asked = asked.override(search=limits)
    if folder and begun:
        check_recipe(begun, asked, folder.path)
    return asked


def _sources(corpus: CorpusLike | None, asked: Recipe, *, resume: bool) -> tuple[str, ...]:
    """Return the paths of a search's corpus files, as given; none for a corpus in memory."""
    if isinstance(corpus, Corpus):
        return asked.corpus.sources if resume else ()
    return _specs(corpus) or asked.corpus.sources or (str(default_corpus_folder()),)


def _corpus(corpus: CorpusLike | None, column: str | None) -> Corpus:
    if isinstance(corpus, Corpus):
        return corpus
    return Corpus.from_files(*(_specs(corpus) or (str(default_corpus_folder()),)), column=column)


def _specs(corpus: str | Path | Sequence[str | Path] | None) -> tuple[str, ...]:
    if isinstance(corpus, (str, Path)):
        return (str(corpus),)
    return tuple(map(str, corpus or ()))


def _check_affix(asked: Recipe, context: Context | str | Path | None) -> None:
    if context is None and asked.context.triples is None:
        raise InputError("a search for an affix needs rows: give a context, a file of triples")
    if asked.corpus.sources or asked.corpus.column:
        found = ", ".join(asked.corpus.sources) or f"the column {asked.corpus.column!r}"
        raise InputError(
            f"an affix is searched in a context alone, without a corpus: found {found}; leave out "
            "the one or the other"
        )


@contextmanager
def _run_folder(out: str | Path | None, *, resume: bool) -> Iterator[RunFolder | None]:
    """Open and lock a run's folder; at the end release it, and remove it if it is empty."""
    if out is None:
        if resume:
            raise InputError("a run that is resumed must be named: give its folder as out")
        yield None
        return
    folder = RunFolder(user_path(out), resume=resume)
    try:
        yield folder
    finally:
        folder.close()


@contextmanager
def _budget(asked: Recipe, folder: RunFolder | None, began: float) -> Iterator[Budget]:
    """Yield a run's budget, less what was spent before; SIGINT and SIGTERM stop it."""
    seconds = parse_duration(asked.search.budget) if asked.search.budget else None
    spent = folder.checkpoint.spent if folder else 0.0
    limits = Budget(seconds, asked.search.max_evaluations, started=began - spent)
    with stopping(limits):
        yield limits


@contextmanager
def _members(
    cluster: Cluster | None, asked: Recipe, model: str | Encoder | None
) -> Iterator[RayPlacement | None]:
    """Yield the place of climbers on a cluster, if any; they begin before the model is loaded."""
    if cluster is None:
        yield None
        return
    device = model.device if isinstance(model, Encoder) else choose_device(asked.model.device)
    with closing(on_cluster(cluster, device)) as placement:
        yield placement


@contextmanager
def _climbers(
    inputs: SearchInputs[Corpus], workers: int | None, members: RayPlacement | None
) -> Iterator[Team]:
    """Yield the climbers of a search, as many as fit in memory, or on a cluster as it has CPUs."""
    if members:
        inputs.budget.reserve += _LEAVING
        members.notify = inputs.reporter.notes
        size, note = members.plan.actors, None
    else:
        size, note = fitting(workers, inputs.encoder.device)
    if note:
        inputs.reporter.notes(note)
    with team_of(inputs.encoder, size, members) as team:
        yield team


def _finished(folder: RunFolder, recorded: Recipe) -> SearchResult | None:
    """Return the result of a resumed run if it has already spent its budget, else ``None``."""
    result = SearchResult.find(folder.path) if folder.resume else None
    if result is None or result.stopped:
        return None
    return result if result.details.get("recipe_hash") == recorded.content_hash else None


def _check_begun(folder: RunFolder | None, asked: Recipe, data: Corpus | Context) -> None:
    if folder and folder.checkpoint.saved:
        found = {"corpus": data.content_hash, "recipe": asked.model_dump(mode="json")}
        folder.checkpoint.check(found)


def _check_text(strings: Sequence[str]) -> None:
    """Raise an error if a string is not valid Unicode, which tokenizers do not accept."""
    for text in strings:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"a string to score must be Unicode text: character {error.start + 1} of {text!r} "
                "is none; mind the terminal's encoding"
            ) from error


def _read_context(asked: Recipe) -> Context:
    section = asked.context
    assert section.triples is not None
    return Context.from_file(user_path(section.triples), section.column)
