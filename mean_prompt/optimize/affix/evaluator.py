"""Scoring affixes (strings added to every prediction): mean gain less a multiple of its error.

Symbols used throughout the search for affixes:

    n       rows, each with a prediction and a true prompt
    p, t    (n, d)  unit vectors of the predictions and of the true prompts
    x       (n, d)  unit vectors of the predictions with an affix
    s       (n,)    SCS of each row, (x · t)³, row by row
    g       (n,)    gains: s of an affix less s without one
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray

from mean_prompt.encoder import Encoder
from mean_prompt.objective import Vectors, sharpened, to_numpy, to_tensor
from mean_prompt.optimize.affix.context import Joiner
from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.constraints import Rules
from mean_prompt.system import State

Scores = NDArray[np.float32]

#: Strings encoded between two checks of the budget, at most and, if time is limited, at least;
#: in between, as many as take the seconds below.
_PIECE: Final = 512
_LEAST_PIECE: Final = 32
_PIECE_SECONDS: Final = 0.25


class BudgetSpentError(Exception):
    """Raised if the budget ends before all rows of an affix are scored; partial scores are lost."""


def row_scores(vectors: Vectors, truths: Vectors) -> Scores:
    """Return each vector's cubed cosine (SCS) with its row's true prompt: (..., d) -> (...,)."""
    cosines = torch.from_numpy(np.einsum("...d,...d->...", vectors, truths))
    return to_numpy(sharpened(cosines))


class Caution:
    """Values an affix's gains by what to expect on unseen prompts, not by their plain mean.

    A search looks at thousands of affixes and keeps the best, so that chance gains are kept too.
    Two things counter that:

    1. Rows of one prompt gain alike, so that the hundredth of them adds less evidence than the
       first of another. With a correlation r between two rows of one prompt, a mean over prompts is
       estimated best if each of a prompt's m rows weighs ``1 / (1 + (m - 1) r)``.
    2. ``value(g) = mean(g) - caution * error(g)`` asks for gains that most prompts share, with the
       error of a mean over clusters, ``error² = Σ_groups (Σ_rows w (g - mean g))²``.

    Over twenty splits of 511 rows with 255 prompts, the values of 36 affixes on one half correlated
    with their plain mean gains on the other by 0.58 with r = 0 and 0.62 with r = 0.1 to 0.3; in the
    worst split by -0.06, and by 0.26 with r = 0.3. These affixes had been found on other halves of
    the same rows. Whole searches differed less by r and caution (0.5 to 1) than by their seeds.

    Args:
        groups: (n,) number of each row's true prompt.
        caution: number of standard errors subtracted from the mean gain.
        likeness: r, from 0 (each row counts alike) to 1 (each prompt does).
    """

    def __init__(self, groups: NDArray[np.int64], caution: float, likeness: float = 0.0) -> None:
        names, members, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        weights = 1 / (1 + (sizes[members] - 1) * likeness)
        #: (n,) weights w of the rows, which sum to 1.
        self.weights = to_tensor((weights / weights.sum()).astype(np.float32))
        self._groups = len(names)
        self._members = torch.from_numpy(members)
        self._caution = caution

    def errors(self, gains: torch.Tensor) -> torch.Tensor:
        """Return the standard error of each affix's mean gain: (k, n) gains -> (k,)."""
        apart = (gains - (gains @ self.weights)[:, None]) * self.weights
        sums = torch.zeros((len(gains), self._groups)).index_add_(1, self._members, apart)
        errors: torch.Tensor = torch.linalg.vector_norm(sums, dim=1)
        return errors

    def values(self, gains: torch.Tensor) -> torch.Tensor:
        """Return mean gains less ``caution`` times their standard errors: (k, n) gains -> (k,)."""
        return gains @ self.weights - self._caution * self.errors(gains)

    def value(self, gains: Scores) -> float:
        """Return a mean gain less ``caution`` times its standard error: (n,) gains -> number."""
        return float(self.values(to_tensor(gains)[None])[0])


@dataclass(frozen=True, slots=True, eq=False)
class Affix:
    """An affix (a string joined to every prediction) and its scores on all training rows.

    Attributes:
        units: words, signs and phrases that make up the affix; none for the empty one.
        text, tokens: the whole string, as it stands beside a prediction, and its length.
        screened: (n, d) vectors of the rows with it, in the screening dtype.
        scores: (n,) SCS of the rows with the affix, by the screened vectors or by float32 ones.
        value: mean gain over the empty affix less ``caution`` standard errors, by ``scores``.
    """

    units: tuple[str, ...]
    text: str
    tokens: int
    screened: Vectors
    scores: Scores
    value: float

    @property
    def score(self) -> float:
        """Mean SCS of the training rows' predictions with the affix."""
        return float(self.scores.mean(dtype=np.float64))

    def state(self) -> State:
        """Return the affix's fields for a checkpoint; :meth:`of_state` reads them back."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of_state(cls, state: State) -> Self:
        """Rebuild an affix from what :meth:`state` returned."""
        arrays = {name: state[name].numpy() for name in ("screened", "scores")}
        return cls(**state | arrays | {"units": tuple(state["units"])})


class AffixEvaluator:
    """Scores affixes joined to the training rows' predictions, within rules and a budget.

    ``truths`` are (n, d) unit vectors of the n predictions' true prompts. The budget is charged
    one evaluation for every row encoded, in either precision.
    """

    def __init__(
        self,
        encoder: Encoder,
        rules: Rules,
        joiner: Joiner,
        predictions: Sequence[str],
        truths: Vectors,
        caution: Caution,
        budget: Budget,
    ) -> None:
        self.encoder = encoder
        self.rules = rules
        self.truths = truths
        self.caution = caution
        self.budget = budget
        self.lengths = np.array([len(ids) for ids in encoder.tokenize(predictions)])
        self._seconds_each = _PIECE_SECONDS / _LEAST_PIECE
        self._joiner = joiner
        self._predictions = predictions

    def __len__(self) -> int:
        return len(self._predictions)

    def spell(self, units: Sequence[str]) -> str | None:
        """Return the affix that words and phrases make, or ``None`` if it breaks a rule."""
        text = self.rules.compose(" ".join(units))
        ids = self.encoder.tokenize([text])[0]
        return text if self.rules.violation(text, ids) is None else None

    def screen(self, texts: Sequence[str], rows: NDArray[np.int64]) -> Vectors:
        """Encode m rows with each of k affixes in the fast screening dtype: (k, m, d) vectors."""
        picked = [self._predictions[row] for row in rows]
        joined = [string for text in texts for string in self._joiner.join(picked, text)]
        return self._encode(joined, self.encoder.screen).reshape(len(texts), len(rows), -1)

    def empty(self, vectors: Vectors) -> Affix:
        """Return the empty affix, scored by (n, d) float32 vectors of the predictions alone.

        It is screened even if the budget has ended: a search without it has no result.
        """
        scores = row_scores(vectors, self.truths)
        self.budget.spend(len(self))
        return Affix((), "", 0, self.encoder.screen(self._predictions), scores, 0.0)

    def screened(self, units: Sequence[str], text: str, vectors: Vectors, empty: Scores) -> Affix:
        """Return an affix scored by all rows' vectors (n, d) with it and SCS (n,) without it."""
        scores = row_scores(vectors, self.truths)
        tokens = len(self.encoder.tokenize([text])[0])
        value = self.caution.value(scores - empty)
        return Affix(tuple(units), text, tokens, vectors, scores, value)

    def exact(self, affix: Affix, empty: Affix) -> Affix:
        """Return an affix scored again on all training rows, in float32."""
        joined = self._joiner.join(self._predictions, affix.text)
        scores = row_scores(self._encode(joined, self.encoder.encode), self.truths)
        return replace(affix, scores=scores, value=self.caution.value(scores - empty.scores))

    def _encode(self, texts: Sequence[str], encode: Callable[[Sequence[str]], Vectors]) -> Vectors:
        pieces: list[Vectors] = []
        while texts:
            if self.budget.expired():
                raise BudgetSpentError
            # All runs without a time limit take the same.
            step = _PIECE
            if self.budget.seconds is not None:
                step = int(np.clip(_PIECE_SECONDS / self._seconds_each, _LEAST_PIECE, _PIECE))
            piece, texts = texts[:step], texts[step:]
            began = time.monotonic()
            pieces.append(encode(piece))
            self._seconds_each = (time.monotonic() - began) / len(piece)
            self.budget.spend(len(piece))
        return np.concatenate(pieces)
