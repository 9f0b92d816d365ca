"""Score the answers of a submission against the true prompts of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import Triples, read_triples
from mean_prompt.encoder import EmbeddingSpace, Encoder
from mean_prompt.hybrid import (
    HYBRID,
    LLM,
    UNIVERSAL,
    Answer,
    MethodScore,
    Outcome,
    method_scores,
    outcomes_of,
)
from mean_prompt.objective import sharpened_cosines
from mean_prompt.report.page.submission_files import SubmissionFiles
from mean_prompt.system import InputError


@dataclass(frozen=True, slots=True)
class Truth:
    """Actual scores of a submission: sharpened cosines (SCS) of answers and true prompts."""

    outcomes: tuple[Outcome, ...]
    methods: tuple[MethodScore, ...]
    notes: tuple[str, ...]


def joined_triples(files: SubmissionFiles, path: Path) -> tuple[tuple[Answer, ...], Triples]:
    """Return a submission's answers to rows of a file of true prompts, and these rows of the file.

    Raises:
        InputError: the file cannot be used, or has none of the submission's ids.
    """
    triples = read_triples(path).triples
    place = {name: row for row, name in enumerate(triples.rows.ids)}
    answers = tuple(answer for answer in files.answers if answer.id in place)
    if not answers:
        raise InputError(
            f"--truth must have rows of the submission: {path} has none of the "
            f"{len(files.answers):,} ids of {files.path}; give the file that its rows came from"
        )
    return answers, triples.take([place[answer.id] for answer in answers])


def find_truth(
    files: SubmissionFiles, answers: Sequence[Answer], triples: Triples, encoder: Encoder
) -> Truth:
    """Score answers, the universal string and the LLM's predictions against true prompts.

    The LLM's prediction is the first one that the run had, cleaned; a row without one gets the
    universal string.
    """
    space = EmbeddingSpace(encoder)
    targets = space.exact(triples.prompts, "prompts")
    earned: dict[str, NDArray[np.float64]] = {
        name: sharpened_cosines(space.exact(texts), targets).astype(np.float64)
        for name, texts in _ways(answers, files.universal).items()
    }
    reference = next(name for name in (LLM, UNIVERSAL, HYBRID) if name in earned)
    notes = [
        f"The truth of {len(answers):,} of {len(files.answers):,} rows is known.",
        f"Actual scores are of {encoder.identity.name}.",
    ]
    chosen_by = files.job.get("model found")
    if chosen_by not in {None, encoder.identity.key}:
        notes.append(
            "Answers were chosen, and their scores expected, by another model: expected and actual "
            "scores do not compare."
        )
    return Truth(
        outcomes_of(answers, triples, earned),
        method_scores(earned, triples.groups(), reference),
        tuple(notes),
    )


def _ways(answers: Sequence[Answer], universal: str | None) -> dict[str, list[str]]:
    """Return the texts to score for each way of answering: hybrid, universal string, LLM."""
    ways = {HYBRID: [answer.text for answer in answers]}
    if universal is not None:
        ways[UNIVERSAL] = [universal] * len(answers)
    predictions = [answer.prediction or universal for answer in answers]
    texts = [text for text in predictions if text is not None]
    if len(texts) == len(predictions) and any(answer.prediction for answer in answers):
        ways[LLM] = texts
    return ways
