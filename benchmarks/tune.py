"""Tune the default settings of mean-prompt's search with Optuna, on the packaged corpus.

    python -m benchmarks.tune STORAGE --trials 40 --out results/benchmarks/tuning.json

Each trial is one climb. So that a busy machine does not disturb the comparison, and several
processes may share a study, a trial is not given seconds but the number of evaluations that its
settings could make in so many seconds on a quiet machine, by the measured cost of a step's parts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import optuna
import torch
import typer

from mean_prompt.bench import Arena
from mean_prompt.corpus import Corpus
from mean_prompt.encoder import load_encoder
from mean_prompt.optimize import (
    Budget,
    Climb,
    ClimbSettings,
    Constraints,
    Edits,
    filled_start,
)
from mean_prompt.runs import Recipe, SearchInputs
from mean_prompt.system import shipped_folder, write_atomically

#: Seconds of a step without its parts, replacements predicted a second, and strings of 32 tokens
#: screened a second: all-MiniLM-L6-v2 on two quiet cores.
STEP_SECONDS: Final = 0.035
PREDICTED_RATE: Final = 14_000.0
SCREENED_RATE: Final = 800.0
_STUDY: Final = "tuning"
_TUNED: Final = {"width", "predicted", "spread", "hot", "cold"}


def evaluations_in(seconds: float, settings: ClimbSettings) -> int:
    """Return how many strings a climb (one local search) scores in a time, by measured costs."""
    step = STEP_SECONDS + settings.predicted / PREDICTED_RATE + settings.width / SCREENED_RATE
    return int(seconds / step * settings.width)


class Tuner:
    """The objective function of the Optuna study: tries settings of a search on one corpus.

    Args:
        max_tokens: most tokens of the strings searched.
        seconds: time on an idle machine that each trial's evaluations correspond to.
    """

    def __init__(self, *, max_tokens: int, seconds: float) -> None:
        recipe = Recipe(constraints=Constraints(max_tokens=max_tokens))
        self._seconds = seconds
        corpus = Corpus.from_files(shipped_folder("corpora"))
        encoder = load_encoder("all-MiniLM-L6-v2")
        self._arena = Arena(SearchInputs(corpus, encoder, recipe, Budget(max_evaluations=1)))

    def __call__(self, trial: optuna.Trial) -> float:
        """Run one climb with a trial's settings; return its score as a share of the ceiling."""
        settings = ClimbSettings(
            width=trial.suggest_int("width", 16, 96, log=True),
            predicted=trial.suggest_int("predicted", 96, 768, log=True),
            spread=trial.suggest_float("spread", 0.0003, 0.004, log=True),
            hot=trial.suggest_float("hot", 0.003, 0.03, log=True),
            cold=trial.suggest_float("cold", 0.0002, 0.003, log=True),
        )
        budget = Budget(max_evaluations=evaluations_in(self._seconds, settings))
        task = self._arena.task(budget, trial.number)
        rng = np.random.default_rng(task.seed)
        start = filled_start(list(task.starts), task.evaluator, rng)
        edits = Edits(task.vocabulary, task.evaluator, settings, task.ceiling, rng)
        climb = Climb(start, task.evaluator.screened(start), edits)
        while not budget.expired():
            climb.step(budget.fraction())
        return climb.best.score / task.ceiling


def main(
    storage: Annotated[Path, typer.Argument(help="SQLite file of the study, made if need be.")],
    out: Annotated[Path, typer.Option(help="JSON file for the outcome.")],
    trials: Annotated[int, typer.Option(help="Climbs of this process.")] = 40,
    seconds: Annotated[float, typer.Option(help="Seconds that a climb stands for.")] = 60.0,
    max_tokens: Annotated[int, typer.Option(help="Tokens of the strings.")] = 32,
    threads: Annotated[int, typer.Option(help="Threads of this process.")] = 1,
) -> None:
    """Tune the settings of a climb (one local search) and write the scores that trials reached."""
    torch.set_num_threads(threads)
    study = optuna.create_study(
        study_name=_STUDY,
        storage=f"sqlite:///{storage.resolve()}",
        direction="maximize",
        sampler=optuna.samplers.TPESampler(multivariate=True, constant_liar=True),
        load_if_exists=True,
    )
    if not study.trials:
        study.enqueue_trial(ClimbSettings().model_dump(include=_TUNED))
    study.optimize(Tuner(max_tokens=max_tokens, seconds=seconds), n_trials=trials)
    write_atomically(out, _outcome(study, seconds, max_tokens).encode())


def _outcome(study: optuna.Study, seconds: float, max_tokens: int) -> str:
    """Return an Optuna study as JSON: its setup, and its finished trials, best first."""
    done = [trial for trial in study.trials if trial.value is not None]
    done.sort(key=lambda trial: -(trial.value or 0.0))
    outcome = {
        "corpus": "the packaged corpus",
        "model": "all-MiniLM-L6-v2",
        "max_tokens": max_tokens,
        "seconds_stood_for": seconds,
        "costs": {
            "step_seconds": STEP_SECONDS,
            "predicted_per_second": PREDICTED_RATE,
            "screened_per_second": SCREENED_RATE,
        },
        "trials": [
            {"fraction": trial.value, "settings": trial.params, "seed": trial.number}
            for trial in done
        ],
    }
    return json.dumps(outcome, indent=2) + "\n"


if __name__ == "__main__":
    typer.run(main)
