"""What an affix changes row by row, and what each of its tokens is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.encoder import Encoder
from mean_prompt.objective import Vectors
from mean_prompt.optimize import AffixProblem, Scores, row_scores
from mean_prompt.report.analysis.data import AffixAnalysis, AffixRow, TokenWorth
from mean_prompt.report.analysis.prompt_scores import truncate
from mean_prompt.report.analysis.tokens import left_out
from mean_prompt.system import Deadline

#: Characters of a prediction or prompt that are kept: some are whole documents.
_LONGEST: Final = 1_000
#: Strings encoded between two checks of the deadline: a few seconds of a large model on two cores.
_STRINGS: Final = 128


def analyse_affix(
    problem: AffixProblem, encoder: Encoder, affix: str, affixed: Scores, *, deadline: Deadline
) -> AffixAnalysis:
    """Analyse an affix on the rows that it was searched on and on those held out.

    Args:
        problem: the n rows.
        encoder: the model.
        affix: a string that is not empty.
        affixed: (n,) SCS of the rows with it.
        deadline: ends the worths of its tokens, which are computed over rows in a random order;
            the first few rows are judged in any case.
    """
    held = set(problem.split.holdout.tolist())
    context = problem.context
    rows = tuple(
        AffixRow(
            id=context.triples.rows.ids[row],
            prediction=truncate(context.predictions[row], _LONGEST),
            prompt=truncate(context.prompts[row], _LONGEST),
            without=float(problem.without[row]),
            affixed=float(affixed[row]),
            held_out=row in held,
        )
        for row in range(len(context))
    )
    worths, judged = _worths(problem, encoder, affix, affixed, deadline)
    position = problem.joiner.position
    return AffixAnalysis(text=affix, position=position, rows=rows, worths=worths, judged=judged)


def _worths(
    problem: AffixProblem, encoder: Encoder, affix: str, affixed: Scores, deadline: Deadline
) -> tuple[tuple[TokenWorth, ...], int]:
    """Return what each token is worth, and the number of rows judged.

    The mean SCS of these rows with the affix, less that with the affix without the token.
    """
    pieces, without = left_out(affix, encoder)
    if not pieces:
        return (), 0
    order = np.random.default_rng(problem.seed).permutation(len(problem.context))
    step = max(1, _STRINGS // len(pieces))
    lost, judged = np.zeros(len(pieces)), 0
    for first in range(0, len(order), step):
        rows = order[first : first + step]
        lost += _losses(problem, encoder, without, affixed[rows], rows)
        judged += len(rows)
        if deadline.expired:
            break
    worths = (lost / judged).tolist()
    return (
        tuple(TokenWorth(piece=p, worth=w) for p, w in zip(pieces, worths, strict=True)),
        judged,
    )


def _losses(
    problem: AffixProblem,
    encoder: Encoder,
    without: Sequence[str],
    affixed: Scores,
    rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the sum over some rows of what the score loses: (m,) rows -> (k,) tokens."""
    texts = [text for affix in without for text in problem.texts(rows, affix)]
    vectors: Vectors = encoder.encode(texts).reshape(len(without), len(rows), -1)
    scores = row_scores(vectors, np.broadcast_to(problem.truths[rows], vectors.shape))
    lost: NDArray[np.float64] = (affixed.astype(np.float64) - scores).sum(axis=1)
    return lost
