"""The data of an affix search: predicted and true prompts as vectors, split by true prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray

from mean_prompt.corpus import Split
from mean_prompt.encoder import Encoder, VectorCache
from mean_prompt.objective import Interval, Vectors, bootstrap_interval, sharpened
from mean_prompt.optimize.affix.context import Context, Joiner
from mean_prompt.optimize.affix.evaluator import Scores, row_scores
from mean_prompt.optimize.scores import ContextScores, Side
from mean_prompt.system import Deadline, Listener, ignore

#: Steps of the ascent to the ceiling and their size; 511 rows met within 1e-5 after 150.
_STEPS: Final = 200
_STEP: Final = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class AffixProblem:
    """Rows of predicted and true prompts as vectors, split into training rows and a hold-out.

    Attributes:
        predictions, truths: (n, d) float32 unit vectors of predicted and of true prompts.
        groups: (n,) number of each row's true prompt; rows with the same prompt share one.
        without: (n,) SCS of the predictions alone.
        ceiling: highest mean SCS that one shift of all predictions' vectors reaches;
            ``train_ceiling`` over the training rows alone.
    """

    context: Context
    split: Split
    joiner: Joiner
    predictions: Vectors
    truths: Vectors
    groups: NDArray[np.int64]
    without: Scores
    ceiling: float
    train_ceiling: float
    seed: int

    @classmethod
    def build(
        cls,
        context: Context,
        encoder: Encoder,
        joiner: Joiner,
        *,
        holdout: float,
        seed: int,
        listener: Listener = ignore,
        deadline: Deadline | None = None,
    ) -> Self:
        """Split the rows into training rows and hold-out, and embed them or read cached vectors.

        ``holdout`` is the share of the true prompts whose rows are held out. If the deadline
        expires, ``OutOfTimeError`` is raised; vectors made by then stay in the cache.
        """
        split = context.split(holdout, seed=seed)
        texts = [*context.predictions, *context.prompts]
        vectors = VectorCache(encoder.identity.key).encode(
            texts, encoder.encode, listener=listener, unit="texts", deadline=deadline
        )
        predictions, truths = vectors[: len(context)], vectors[len(context) :]
        return cls(
            context=context,
            split=split,
            joiner=joiner,
            predictions=predictions,
            truths=truths,
            groups=context.triples.groups(),
            without=row_scores(predictions, truths),
            ceiling=shift_ceiling(predictions, truths),
            train_ceiling=shift_ceiling(predictions[split.train], truths[split.train]),
            seed=seed,
        )

    def texts(self, rows: NDArray[np.int64], affix: str = "") -> list[str]:
        """Return the predictions of some rows, each joined to an affix."""
        return self.joiner.join([self.context.predictions[row] for row in rows], affix)

    @property
    def train_prompts(self) -> list[str]:
        """The distinct true prompts of the training rows, in their order."""
        return list(dict.fromkeys(self.context.prompts[row] for row in self.split.train))

    def compare(self, affixed: Scores) -> ContextScores:
        """Compare (n,) scores with an affix to those without, in all rows and each split side."""
        held = self.split.holdout
        return ContextScores(
            position=self.joiner.position,
            everything=self._side(affixed, np.arange(len(self.context))),
            train=self._side(affixed, self.split.train),
            holdout=self._side(affixed, held) if len(held) else None,
        )

    def holdout_interval(self, affixed: Scores) -> Interval | None:
        """Return a 95 % interval of held-out rows' mean score, from a bootstrap over prompts."""
        rows = self.split.holdout
        return self._interval(affixed[rows].astype(np.float64), rows) if len(rows) else None

    def _side(self, affixed: Scores, rows: NDArray[np.int64]) -> Side:
        without, with_affix = (
            scores[rows].astype(np.float64) for scores in (self.without, affixed)
        )
        interval = self._interval(with_affix - without, rows)
        return Side(
            rows=len(rows),
            groups=len(np.unique(self.groups[rows])),
            without=float(without.mean()),
            affixed=float(with_affix.mean()),
            low=interval.low,
            high=interval.high,
        )

    def _interval(self, values: NDArray[np.float64], rows: NDArray[np.int64]) -> Interval:
        return bootstrap_interval(values, np.ones(len(rows)), self.groups[rows], seed=self.seed)


def shift_ceiling(predictions: Vectors, truths: Vectors) -> float:
    """Return the highest mean SCS that adding one vector ``m`` to all predictions' vectors reaches.

    Maximises ``mean_i SCS(normalize(p_i + m), t_i)`` over m (d,), by ascent from no shift. The
    score of perfect answers, 1, is no measure for affixes: one string moves all rows by about the
    same, and this is how far that leads. It is no strict bound, since a string moves short
    predictions further than long ones, and reads differently beside each.
    """
    rows, aims = torch.from_numpy(predictions), torch.from_numpy(truths)
    shift = torch.zeros(rows.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([shift], lr=_STEP)
    best = -1.0
    for _ in range(_STEPS):
        optimizer.zero_grad()
        moved = torch.nn.functional.normalize(rows + shift, dim=1)
        score = sharpened((moved * aims).sum(dim=1)).mean()
        best = max(best, float(score.detach()))
        (-score).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return best
