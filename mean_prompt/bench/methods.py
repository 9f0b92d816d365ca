"""``bench methods``: compare search methods on the same corpus, model, rules and wall clock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from mean_prompt.bench.arena import Arena
from mean_prompt.bench.method import OWN, Method
from mean_prompt.bench.page import methods_markdown, methods_page
from mean_prompt.bench.report import MethodRun, MethodsReport, MethodsSetup
from mean_prompt.bench.setup import Machine, ReportFolder
from mean_prompt.corpus import Corpus, default_corpus_folder
from mean_prompt.encoder import Encoder
from mean_prompt.optimize import Budget, Candidate
from mean_prompt.runs import Recipe, SearchInputs
from mean_prompt.system import (
    InputError,
    Listener,
    ProgressEvent,
    RunError,
    ignore,
    parse_duration,
)

DEFAULT_BUDGET: Final = "120s"
DEFAULT_TOKENS: Final = 32
DEFAULT_SEEDS: Final = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class BenchProgress(ProgressEvent):
    """Progress of a comparison of methods: ``done`` of ``total`` runs are finished, one runs.

    Attributes:
        seconds: the current run's time so far; each run has ``budget`` seconds.
        fraction: score of the run's best string over the training prompts, as a share of the
            ceiling.
    """

    method: str = ""
    seed: int = 0
    seconds: float = 0.0
    budget: float = 0.0
    fraction: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class MethodsPlan:
    """The validated inputs of a comparison of methods, before the model is loaded."""

    corpus: Corpus
    recipe: Recipe
    methods: Mapping[str, Method]
    seeds: tuple[int, ...]
    seconds: float


def bench_methods(
    corpus: Sequence[str | Path] | Corpus | None = None,
    *,
    budget: str = DEFAULT_BUDGET,
    max_tokens: int | None = None,
    model: str | Encoder | None = None,
    methods: Sequence[str] | None = None,
    seeds: Sequence[int] = DEFAULT_SEEDS,
    recipe: Recipe | None = None,
    out: str | Path | None = None,
    listener: Listener = ignore,
) -> MethodsReport:
    """Compare search methods at equal wall-clock time, and return all runs with a summary.

    Everything that does not depend on the method is done once, before any method's time begins.
    Runs go seed by seed, and the order of the methods rotates from seed to seed, so that a
    machine whose speed drifts affects all methods alike. Ctrl-C ends the comparison; finished
    runs are reported.

    The corpus is as for :func:`mean_prompt.search`; ``budget`` is the wall-clock time of each run;
    ``max_tokens`` defaults to the recipe's, else 32; ``methods`` to all. ``out`` is a folder for
    ``methods.json`` (written after every run), ``methods.md`` and ``methods.html``. The listener
    receives :class:`BenchProgress` while methods run.

    Raises:
        RunError: no run was finished, or a method broke the rules.
    """
    plan = _checked(corpus, budget, max_tokens, model, methods, seeds, recipe)
    folder = ReportFolder(out) if out is not None else None
    listener(ProgressEvent("loading"))
    began = time.monotonic()
    encoder = plan.recipe.model.load() if model is None or isinstance(model, str) else model
    loading = time.monotonic() - began
    untimed = Budget(max_evaluations=1)
    arena = Arena(SearchInputs(plan.corpus, encoder, plan.recipe, untimed, listener=listener))
    setup = _setup(plan, encoder, arena, loading)
    runs: list[MethodRun] = []
    try:
        for run in _runs(plan, arena, listener):
            runs.append(run)
            if folder:
                report = MethodsReport.of(setup, runs)
                folder.write("methods.json", report.model_dump_json(indent=2) + "\n")
    except KeyboardInterrupt:
        if not runs:
            raise RunError("the comparison was ended before its first run was finished") from None
    report = MethodsReport.of(setup, runs)
    if folder:
        folder.write("methods.md", methods_markdown(report))
        folder.write("methods.html", methods_page(report))
    return report


def known_methods(recipe: Recipe) -> dict[str, Method]:
    """Return all search methods by name: this package's, set by the recipe, and published ones."""
    from mean_prompt.bench.engine import Engine
    from mean_prompt.bench.peers import PEERS

    return {OWN: Engine(recipe.climb, recipe.study), **PEERS}


def _runs(plan: MethodsPlan, arena: Arena, listener: Listener) -> Iterator[MethodRun]:
    names = list(plan.methods)
    order = []
    for turn, seed in enumerate(plan.seeds):  # each seed begins with another method
        first = turn % len(names)
        order += [(name, seed) for name in (*names[first:], *names[:first])]
    ceiling = arena.problem.train_ceiling
    for number, (name, seed) in enumerate(order):
        begun = BenchProgress(
            "running", number, len(order), "runs", method=name, seed=seed, budget=plan.seconds
        )

        def watch(seconds: float, best: Candidate, begun: BenchProgress = begun) -> None:
            listener(replace(begun, seconds=seconds, fraction=best.score / ceiling))

        yield arena.run(plan.methods[name], seed, plan.seconds, watch)


def _checked(
    corpus: Sequence[str | Path] | Corpus | None,
    budget: str,
    max_tokens: int | None,
    model: str | Encoder | None,
    methods: Sequence[str] | None,
    seeds: Sequence[int],
    recipe: Recipe | None,
) -> MethodsPlan:
    seconds = parse_duration(budget)
    if not seeds or len(set(seeds)) < len(seeds) or not all(0 <= seed < 2**32 for seed in seeds):
        given = ",".join(map(str, seeds))
        raise InputError(
            f"--seeds must be different integers from 0 to 4294967295: found {given!r}"
        )
    tokens = DEFAULT_TOKENS if recipe is None else None
    settings = (recipe or Recipe()).override(
        constraints={"max_tokens": tokens if max_tokens is None else max_tokens},
        model={"name": model if isinstance(model, str) else None},
    )
    known = known_methods(settings)
    names = list(known) if methods is None else list(methods)
    for name in names:
        if name not in known:
            raise InputError(
                f"--methods must be among {', '.join(known)}: found {name!r}; separate them by "
                "commas"
            )
    if not names or len(set(names)) < len(names):
        raise InputError(f"--methods must name each method once: found {','.join(names)!r}")
    if not isinstance(corpus, Corpus):
        sources = corpus or settings.corpus.sources or (default_corpus_folder(),)
        corpus = Corpus.from_files(*sources, column=settings.corpus.column)
    chosen = {name: known[name] for name in names}
    return MethodsPlan(corpus, settings, chosen, tuple(seeds), seconds)


def _setup(plan: MethodsPlan, encoder: Encoder, arena: Arena, loading: float) -> MethodsSetup:
    return MethodsSetup(
        machine=Machine.here(encoder.device),
        corpus=tuple(source.path for source in plan.corpus.sources),
        corpus_hash=plan.corpus.content_hash,
        prompts=len(plan.corpus),
        train=len(arena.problem.split.train),
        model=encoder.identity.name,
        model_hash=encoder.identity.content_hash,
        screening=encoder.screening.dtype,
        budget=plan.seconds,
        max_tokens=plan.recipe.constraints.max_tokens,
        seeds=plan.seeds,
        methods=tuple(plan.methods),
        ceiling=arena.problem.ceiling.value,
        preparation={"model": loading} | arena.preparation,
    )
