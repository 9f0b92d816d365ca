"""Compare what climbs that run side by side adopt from each other, at equal evaluations.

    python -m benchmarks.exchange CORPUS --evaluations 8000 --climbers 2 --seeds 7

The climbs of one run take turns in this process, so that a busy machine does not disturb the
comparison. Prints one line of JSON a run: strategy, seed and the best string's training score as a
share of the ceiling.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mean_prompt.bench import Arena, Engine
from mean_prompt.corpus import Corpus
from mean_prompt.encoder import load_encoder
from mean_prompt.optimize import EXCHANGES, Budget, Constraints, StudySettings
from mean_prompt.runs import Recipe, SearchInputs


def main(
    corpus: Path,
    evaluations: Annotated[int, typer.Option(help="Strings encoded in a run.")] = 8_000,
    climbers: Annotated[int, typer.Option(help="Climbs side by side.")] = 2,
    climb_evaluations: Annotated[int, typer.Option(help="Strings encoded in one climb.")] = 0,
    max_tokens: int = 32,
    seeds: Annotated[int, typer.Option(help="Seeds from the first one on.")] = 7,
    first: Annotated[int, typer.Option(help="The first seed.")] = 1,
    strategies: Annotated[str, typer.Option(help="Their names.")] = " ".join(EXCHANGES),
    model: str = "all-MiniLM-L6-v2",
) -> None:
    """Run every strategy with every seed."""
    recipe = Recipe(constraints=Constraints(max_tokens=max_tokens))
    inputs = SearchInputs(
        Corpus.from_files(str(corpus)), load_encoder(model), recipe, Budget(max_evaluations=1)
    )
    arena = Arena(inputs)
    for seed in range(first, first + seeds):
        for strategy in strategies.split():
            settings = {"exchange": strategy} | (
                {"climb_evaluations": climb_evaluations} if climb_evaluations else {}
            )
            study = StudySettings.model_validate(settings)
            task = arena.task(Budget(max_evaluations=evaluations), seed)
            *_, best = Engine(study=study, climbers=climbers).search(task)
            found = {
                "strategy": strategy,
                "climbers": climbers,
                "climb_evaluations": study.climb_evaluations,
                "evaluations": evaluations,
                "seed": seed,
                "fraction": round(best.score / task.ceiling, 4),
            }
            print(json.dumps(found), flush=True)  # noqa: T201


if __name__ == "__main__":
    typer.run(main)
