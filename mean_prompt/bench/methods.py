"""``bench methods``: every search method on the same corpus, model, rules and wall clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mean_prompt.bench.arena import Arena
from mean_prompt.bench.files import ReportFolder
from mean_prompt.bench.method import Method
from mean_prompt.bench.page import methods_markdown, methods_page
from mean_prompt.bench.registry import choose_methods
from mean_prompt.bench.report import MethodRun, MethodsReport, MethodsSetup
from mean_prompt.bench.setup import Machine
from mean_prompt.corpus import Corpus, default_corpus_folder
from mean_prompt.encoder import Encoder, load_encoder
from mean_prompt.optimize import Candidate
from mean_prompt.runs import Recipe
from mean_prompt.system import InputError, RunError, parse_duration

DEFAULT_BUDGET = "120s"
DEFAULT_TOKENS = 32
DEFAULT_SEEDS = (0, 1, 2)


@dataclass(frozen=True, slots=True)
class BenchProgress:
    """Where a comparison stands.

    Attributes:
        phase: ``loading``, ``corpus``, ``vocabulary`` or ``running``.
        done, total: items of the phase; runs while running.
        method, seed: of the present run; ``seconds`` on its clock, of ``budget``.
        fraction: of its best string, over the training prompts; ``text`` is the string.
    """

    phase: str
    done: int = 0
    total: int = 0
    method: str = ""
    seed: int = 0
    seconds: float = 0.0
    budget: float = 0.0
    fraction: float = 0.0
    text: str = ""


Listener = Callable[[BenchProgress], None]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A comparison that was checked as far as it can be without the model."""

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
    listener: Listener | None = None,
) -> MethodsReport:
    """Compare search methods at equal wall clock.

    Everything that does not depend on the method is done once, before any clock begins. Runs go
    seed by seed, and the order of the methods rotates from seed to seed, so that a machine that
    drifts treats all alike. Ctrl-C ends the comparison with the runs that were finished.

    Args:
        corpus: as for :func:`mean_prompt.search`.
        budget: wall-clock time of each run.
        max_tokens: hard limit on the tokens of the string; the recipe's, else 32.
        model: a name, a folder or a loaded encoder.
        methods: names; all when left out.
        seeds: one run of every method each.
        recipe: of constraints, hold-out, model, and the engine's own settings.
        out: folder for ``methods.json`` (after every run), ``methods.md`` and ``methods.html``.
        listener: hears where the comparison stands.

    Raises:
        InputError: something given cannot be used.
        RunError: it ended before the first run was finished, or a method broke the rules.
    """
    listen = listener or (lambda _: None)
    plan = _plan(corpus, budget, max_tokens, model, methods, seeds, recipe)
    folder = ReportFolder(out) if out is not None else None
    listen(BenchProgress("loading"))
    began = time.monotonic()
    encoder = _load(plan.recipe) if model is None or isinstance(model, str) else model
    loading = time.monotonic() - began
    arena = Arena(
        plan.corpus,
        encoder,
        plan.recipe,
        lambda phase, done, total: listen(BenchProgress(phase, done, total)),
    )
    setup = _setup(plan, encoder, arena, loading)
    runs: list[MethodRun] = []
    try:
        for run in _runs(plan, arena, listen):
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


def schedule(names: Sequence[str], seeds: Sequence[int]) -> list[tuple[str, int]]:
    """Return the runs in order: seed by seed, the first method another one each time."""
    order = []
    for turn, seed in enumerate(seeds):
        first = turn % len(names)
        order += [(name, seed) for name in (*names[first:], *names[:first])]
    return order


def _runs(plan: Plan, arena: Arena, listen: Listener) -> Iterator[MethodRun]:
    order = schedule(list(plan.methods), plan.seeds)
    ceiling = arena.problem.train_ceiling
    for number, (name, seed) in enumerate(order):

        def watch(
            seconds: float,
            best: Candidate,
            number: int = number,
            name: str = name,
            seed: int = seed,
        ) -> None:
            fraction = best.score / ceiling
            listen(
                BenchProgress(
                    "running", number, len(order), name, seed, seconds, plan.seconds, fraction,
                    best.text,
                )
            )  # fmt: skip

        yield arena.run(plan.methods[name], seed, plan.seconds, watch)


def _plan(
    corpus: Sequence[str | Path] | Corpus | None,
    budget: str,
    max_tokens: int | None,
    model: str | Encoder | None,
    methods: Sequence[str] | None,
    seeds: Sequence[int],
    recipe: Recipe | None,
) -> Plan:
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
        corpus={"sources": None if isinstance(corpus, Corpus) else _sources(corpus)},
    )
    chosen = choose_methods(methods, settings)
    if isinstance(corpus, Corpus):
        prompts = corpus
    else:
        sources = settings.corpus.sources or (str(default_corpus_folder()),)
        prompts = Corpus.from_files(*sources, column=settings.corpus.column)
    return Plan(prompts, settings, chosen, tuple(seeds), seconds)


def _sources(corpus: Sequence[str | Path] | None) -> tuple[str, ...] | None:
    return tuple(str(spec) for spec in corpus or ()) or None


def _load(recipe: Recipe) -> Encoder:
    chosen = recipe.model
    return load_encoder(
        chosen.name, device=chosen.device, screening=chosen.screening, trust=chosen.trust
    )


def _setup(plan: Plan, encoder: Encoder, arena: Arena, loading: float) -> MethodsSetup:
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
