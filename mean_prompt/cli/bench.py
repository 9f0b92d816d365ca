"""``mean-prompt bench``: compare search methods, time the encoder, measure growth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mean_prompt.cli.options import Device, Model, Trust, argument, option
from mean_prompt.system import InputError

bench = typer.Typer(
    no_args_is_help=True,
    help="Measure: search methods at equal time, speed of the encoder, growth with the corpus.",
)

_Json = Annotated[bool, typer.Option("--json", help="Print JSON alone.")]
_Out = Annotated[Path | None, option(help="Folder for the report's files.")]


@bench.command()
def methods(
    corpus: Annotated[
        list[str] | None,
        argument(help="Files or folders of prompts, as for search. Default: as for search."),
    ] = None,
    budget: Annotated[str, typer.Option(help="Time of each run: 90s, 10m, 1h30m.")] = "120s",
    max_tokens: Annotated[
        int | None, option(help="Most tokens of the string. Default: the recipe's, else 32.")
    ] = None,
    model: Model = None,
    trust_model: Trust = False,
    device: Device = "auto",
    chosen: Annotated[
        str | None, option("--methods", help="Names, separated by commas. Default: all.")
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="Integers, separated by commas; each gives one run of every method.")
    ] = "0,1,2",
    holdout: Annotated[
        float | None,
        option(
            help="Share of the prompts kept out of the search. Default: the recipe's, else 0.2."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        option(help="A TOML file, or a packaged recipe: its constraints, model and hold-out."),
    ] = None,
    out: _Out = None,
    as_json: _Json = False,
) -> None:
    """Compare search methods: same corpus, model, rules and wall clock, several seeds."""
    from mean_prompt.bench import DEFAULT_TOKENS, bench_methods
    from mean_prompt.cli.bench_display import bench_display, print_methods
    from mean_prompt.runs import Recipe

    plan = Recipe.load(recipe) if recipe else Recipe()
    plan = plan.override(
        corpus={"holdout": holdout},
        model={"device": None if device == "auto" else device, "trust": trust_model or None},
    )
    if max_tokens is None and not recipe:
        max_tokens = DEFAULT_TOKENS
    names = None if chosen is None else [name.strip() for name in chosen.split(",") if name.strip()]
    with bench_display() as display:
        report = bench_methods(
            corpus,
            budget=budget,
            max_tokens=max_tokens,
            model=model,
            methods=names,
            seeds=_integers("--seeds", seeds),
            recipe=plan,
            out=out,
            listener=display,
        )
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        print_methods(report, out)


@bench.command()
def speed(
    model: Annotated[
        list[str] | None,
        option(
            help="A folder, a name on the hub, or random-sentence-t5-base; repeat for several. "
            "Default: the packaged all-MiniLM-L6-v2, and random-sentence-t5-base."
        ),
    ] = None,
    trust_model: Trust = False,
    tokens: Annotated[int, typer.Option(help="Tokens of each string.")] = 32,
    batch: Annotated[int, typer.Option(help="Strings in one call.")] = 192,
    repeats: Annotated[int, typer.Option(help="Timings of every path; medians count.")] = 5,
    device: Device = "auto",
    out: _Out = None,
    as_json: _Json = False,
) -> None:
    """Time the paths through a model: strings a second, and the share of the matrix rate."""
    from mean_prompt.bench import bench_speed
    from mean_prompt.cli.bench_display import bench_display, print_speed

    with bench_display() as display:
        report = bench_speed(
            model,
            tokens=tokens,
            batch=batch,
            repeats=repeats,
            device=device,
            trust=trust_model,
            out=out,
            listener=display,
        )
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        print_speed(report, out)


@bench.command()
def scale(
    sizes: Annotated[
        str, typer.Option(help="Numbers of prompts, separated by commas.")
    ] = "1000,10000,100000,1000000",
    as_json: _Json = False,
) -> None:
    """Measure how a search grows with its corpus: time of a step, memory, error of the score."""
    from dataclasses import asdict

    from mean_prompt.bench import Machine, bench_scale
    from mean_prompt.cli.bench_display import print_scale

    counts = _integers("--sizes", sizes)
    if min(counts) < 2:
        raise InputError(f"--sizes must be at least 2 prompts each: found {sizes!r}")
    rows = bench_scale(counts)
    if as_json:
        machine = Machine.here("cpu").model_dump()
        report = {"machine": machine, "rows": [asdict(row) for row in rows]}
        typer.echo(json.dumps(report, indent=2))
    else:
        print_scale(rows)


def _integers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(
            f"{option} must be integers separated by commas: found {text!r}"
        ) from error
