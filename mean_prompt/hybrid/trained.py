"""Trains a vector predictor on a file of known rows, and reports what it is worth.

All figures are of rows of prompts that were left out, near-duplicates of these included.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import Triples, read_triples
from mean_prompt.encoder import EmbeddingSpace
from mean_prompt.hybrid.comparison import ask_all
from mean_prompt.hybrid.options import BlendOptions
from mean_prompt.hybrid.predictor import FittedSide, HybridPredictor
from mean_prompt.hybrid.retrieval import Texts
from mean_prompt.llm import LLMOptions, make_predictor
from mean_prompt.objective import ExpectedSCS, Interval, bootstrap_interval, sharpened_cosines
from mean_prompt.system import InputError, Listener, ignore, write_atomically
from mean_prompt.training import FittedViews, rows_of, save_vector, views_left_out

REPORT: Final = "report.json"


@dataclass(frozen=True, slots=True)
class VectorTraining:
    """A vector predictor to train (``mean-prompt train vector``).

    Attributes:
        out: a new folder.
        llm: source of predictions, as for ``predict``.
    """

    triples: Path
    out: Path
    options: BlendOptions = field(default_factory=BlendOptions)
    llm: str = field(default="none", repr=False)  # it may hold a password
    llm_options: LLMOptions = field(default_factory=LLMOptions)
    shots: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """Mean SCS of something over rows, with its 95 % interval by a bootstrap over prompts."""

    name: str
    rows: int
    mean: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class SideReport:
    """Figures of one side of a predictor: without predictions, or with them.

    Attributes:
        rung, alpha: the predictor that cross-validation chose, and its penalty.
        vector: its vectors.
        choice: strings chosen by them from candidates; ``oracle``: by the truth.
        kinds: the vectors, by kind of row.
        tried: all predictors compared.
        views: what the vectors lose without each view.
    """

    name: str
    rung: str
    alpha: float
    vector: Figure
    choice: Figure
    oracle: Figure
    kinds: tuple[Figure, ...]
    tried: tuple[tuple[str, float, float], ...]
    views: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class VectorReport:
    """What a trained vector predictor is worth."""

    out: Path
    rows: int
    prompts: int
    sides: tuple[SideReport, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary that can be written as JSON."""
        return asdict(self) | {"out": str(self.out)}

    def as_json(self) -> str:
        """Return the report as the JSON text that its folder holds."""
        return json.dumps(self.as_dict(), ensure_ascii=False, indent=2)

    def save(self) -> None:
        """Write the report into the predictor's folder."""
        write_atomically(self.out / REPORT, f"{self.as_json()}\n".encode())


def train_vector(plan: VectorTraining, *, listener: Listener = ignore) -> VectorReport:
    """Train a vector predictor, write it to its folder, and return what it is worth.

    Raises:
        InputError: a file or an option cannot be used, or the folder is there.
    """
    if plan.out.exists():
        raise InputError(f"--out must be a new folder: {plan.out} is there; give another name")
    file = read_triples(plan.triples)
    llm = make_predictor(
        plan.llm, test=plan.triples, options=plan.llm_options, trust=plan.options.trust
    )
    options = replace(plan.options, model=plan.options.load_model())
    space = EmbeddingSpace(options.load_model(), listener=listener)
    predictions = None
    if llm is not None:
        predictions, _ = ask_all(llm, file.triples, plan.shots, space, listener)
    universal = _most_typical(file.triples, space)
    hybrid = HybridPredictor(universal, options, listener=listener)
    hybrid.fit(file.triples, predictions)
    save_vector(hybrid.vectors_, plan.out)
    sides = [_side_report("texts", file.triples, None, hybrid.vectors_.text_, hybrid.text_, hybrid)]
    if hybrid.vectors_.llm_ is not None and hybrid.llm_ is not None and predictions is not None:
        sides.append(
            _side_report(
                "texts and predictions",
                file.triples,
                predictions,
                hybrid.vectors_.llm_,
                hybrid.llm_,
                hybrid,
            )
        )
    prompts = len(np.unique(file.triples.groups()))
    report = VectorReport(plan.out, len(file.triples), prompts, tuple(sides), file.notes)
    report.save()
    return report


def _most_typical(triples: Triples, space: EmbeddingSpace) -> str:
    """Return the known prompt with the highest expected SCS over all: the string of last resort."""
    vectors = space.exact(triples.prompts, "prompts")
    return triples.prompts[int(ExpectedSCS(vectors, device=space.device).score(vectors).argmax())]


def _side_report(
    name: str,
    triples: Triples,
    predictions: Texts | None,
    fitted: FittedViews,
    side: FittedSide,
    hybrid: HybridPredictor,
) -> SideReport:
    ladder, left_out = fitted.ladder, fitted.left_out
    known = triples.take(fitted.rows)
    groups = known.groups()
    targets = hybrid.space.exact(known.prompts, "prompts")
    earned = sharpened_cosines(left_out.vectors, targets).astype(np.float64)
    rows = rows_of(
        known.rows,
        None if predictions is None else [predictions[row] for row in fitted.rows],
        hybrid.vectors_.wording_,
    )
    opened = np.array([row.has_opener for row in rows])
    kinds = {"first line with an opener": opened, "first line without one": ~opened}
    chosen = side.left_out()
    best = np.array([worth.max() for worth in side.samples.earned])
    drawn = triples.take(side.rows[side.samples.rows]).groups()
    return SideReport(
        name,
        ladder.best.name,
        ladder.best.alpha,
        _figure("vector", earned, groups),
        _figure("choice", chosen, drawn),
        _figure("oracle", best, drawn),
        tuple(
            _figure(kind, earned[which], groups[which])
            for kind, which in kinds.items()
            if which.any()
        ),
        tuple((one.rung, one.alpha, one.score) for one in ladder.tried),
        views_left_out(rows, fitted, targets, known.near_groups(), hybrid.space),
    )


def _figure(name: str, values: NDArray[np.float64], groups: NDArray[np.int64]) -> Figure:
    interval = bootstrap_interval(values, np.ones(len(values)), groups)
    return Figure(name, len(values), float(values.mean()), interval)
