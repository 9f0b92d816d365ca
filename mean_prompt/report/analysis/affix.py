"""Effect of an affix (a prefix or suffix of LLM predictions) on each row, and of each token."""

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

#: Most characters of a prediction or prompt that are kept: some are whole documents.
_LONGEST: Final = 1_000
#: Strings encoded between two checks of the deadline: a few seconds of a large model on two cores.
_STRINGS: Final = 128


def analyse_affix(
    problem: AffixProblem, encoder: Encoder, affix: str, affixed: Scores, *, deadline: Deadline
) -> AffixAnalysis:
    """Analyse an affix on the rows that it was optimised on and on the held-out rows.

    Args:
        problem: the search problem, with n rows of a prediction and its true prompt.
        encoder: the embedding model.
        affix: a prefix or suffix of predictions, not empty.
        affixed: (n,) SCS of the predictions with the affix.
        deadline: ends the computation of the tokens' contributions, which takes rows in random
            order; the first few rows are used in any case.
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
    """Return the contribution of each token of an affix, and the number of rows averaged over.

    It is the rows' mean SCS with the affix, less that with the affix without the token.
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
    """Return the score lost by leaving out each of an affix's k tokens, summed over rows: (k,)."""
    texts = [text for affix in without for text in problem.texts(rows, affix)]
    vectors: Vectors = encoder.encode(texts).reshape(len(without), len(rows), -1)
    scores = row_scores(vectors, np.broadcast_to(problem.truths[rows], vectors.shape))
    lost: NDArray[np.float64] = (affixed.astype(np.float64) - scores).sum(axis=1)
    return lost
