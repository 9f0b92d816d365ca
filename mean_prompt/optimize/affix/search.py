"""The search for an affix (a string added to predictions): ranked edits race on mini-batches.

A round edits one of the best affixes so far. Thousands of edits are ranked by the model of
:mod:`~mean_prompt.optimize.affix.shifts`; the best ones race: all are encoded beside a
few rows, the better ones beside more, and what is left beside all training rows. What then leads
is scored on all of them again, in float32. Every race draws its own rows, so that no affix is
fitted to one mini-batch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mean_prompt.objective import Vectors
from mean_prompt.optimize.affix.evaluator import (
    Affix,
    AffixEvaluator,
    BudgetSpentError,
    row_scores,
)
from mean_prompt.optimize.affix.shifts import Estimate, ShiftScores, shift_model
from mean_prompt.optimize.affix.units import Edit, Moves, UnitBank
from mean_prompt.system import State

#: Share of a race's edits that reaches the next, larger mini-batch.
_SURVIVORS: Final = 0.25
#: Share of a race's edits drawn at random by the model's values, and the temperature of that
#: draw as a share of the score without an affix; the others are the model's very best.
_DRAWN: Final = 0.5
_DRAW_SPREAD: Final = 0.01
#: Share of the rounds that edit the best affix, rather than another one of the elite.
_BEST_BASE: Final = 0.5
#: Frequent phrases of the true prompts that the first race tries, whatever the model predicts.
_FIRST_PHRASES: Final = 16


class AffixSettings(BaseModel):
    """Settings of the search for an affix, a string joined to every prediction.

    Attributes:
        caution: number of standard errors subtracted from a mean gain.
        likeness: correlation between the gains of rows with one true prompt.
        width: number of edits that a race begins with.
        stages: numbers of rows that edits are scored on, before the best are scored on all.
        elite: number of best affixes that are kept to be edited.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    caution: float = Field(default=1.0, ge=0)
    likeness: float = Field(default=0.2, ge=0, le=1)
    width: int = Field(default=48, ge=1, le=4096)
    stages: tuple[Annotated[int, Field(ge=1)], ...] = (16, 64)
    elite: int = Field(default=6, ge=1, le=256)


@dataclass(frozen=True, slots=True, eq=False)
class AffixRound:
    """The best affix after one race between edits, and the kind of edit if the race found it."""

    number: int
    best: Affix
    move: str | None


class AffixSearch:
    """Searches for the affix (a string added to predictions) of highest cautious mean gain.

    ``best``, the best affix so far, is never worth less than the empty one.
    """

    def __init__(
        self,
        evaluator: AffixEvaluator,
        bank: UnitBank,
        empty: Affix,
        settings: AffixSettings,
        *,
        seed: int,
    ) -> None:
        self._evaluator = evaluator
        self._bank = bank
        self._empty = empty
        self._settings = settings
        self._rng = np.random.default_rng(seed)
        self._moves = Moves(bank, self._rng)
        self._model = shift_model(bank.vectors.shape[1])
        self._empty_screened = row_scores(empty.screened, evaluator.truths)
        self._elite = [empty]
        self._tried: set[str] = set()
        self._number = self._barren = 0
        self.best = empty

    def run(self) -> Iterator[AffixRound]:
        """Race edits of good affixes until the budget is spent, yielding after every race.

        The search ends early once no affix of the elite has an edit that was not tried.
        """
        while self._barren < 4 * len(self._elite) and not self._evaluator.budget.expired():
            undo = self._undo()
            best = self._rng.random() < _BEST_BASE
            base = self._elite[0 if best else int(self._rng.integers(len(self._elite)))]
            field = self._propose(base)
            self._barren = 0 if field else self._barren + 1
            try:
                move = self._race(base, field) if field else None
            except BudgetSpentError:
                # As if the race had never begun: a resumed search runs it whole.
                undo()
                return
            self._number += 1
            yield AffixRound(self._number - 1, self.best, move)

    def state(self) -> State:
        """Return the search's progress for a checkpoint, without its constructor's arguments."""
        return {
            "elite": [affix.state() for affix in self._elite],
            "best": self.best.state(),
            "tried": sorted(self._tried),
            "number": self._number,
            "barren": self._barren,
            "model": self._model.state(),
            "rng": self._rng.bit_generator.state,
        }

    def restore(self, state: State) -> None:
        """Restore the :meth:`state` of a search made with the same arguments."""
        self._elite = [Affix.of_state(affix) for affix in state["elite"]]
        self.best = Affix.of_state(state["best"])
        self._tried = set(state["tried"])
        self._number, self._barren = state["number"], state["barren"]
        self._model.restore(state["model"])
        self._rng.bit_generator.state = state["rng"]

    def _undo(self) -> Callable[[], None]:
        """Return a function that restores the search's present state when called."""
        elite, tried, barren = list(self._elite), set(self._tried), self._barren
        model, rng = copy.deepcopy(self._model.state()), self._rng.bit_generator.state

        def undo() -> None:
            self._elite, self._tried, self._barren = elite, tried, barren
            self._model.restore(model)
            self._rng.bit_generator.state = rng

        return undo

    def _propose(self, base: Affix) -> list[tuple[str, Edit]]:
        """Return new edits of an affix that keep to the rules, as pairs of new text and edit."""
        others = [row.units for row in self._elite if row.units and row is not base]
        edits = list(self._moves.without_units(base.units, others))
        if not self._tried:
            edits += map(self._moves.single, range(min(_FIRST_PHRASES, self._bank.phrases)))
        fresh = self._moves.with_units(base.units)
        ranked = [fresh[number] for number in self._ranking(base, fresh)]
        texts: dict[str, Edit] = {}
        for edit in [*edits, *ranked]:
            if len(texts) >= self._settings.width:
                break
            text = self._evaluator.spell(edit.units)
            if text is not None and text not in self._tried:
                texts.setdefault(text, edit)
        self._tried.update(texts)
        return list(texts.items())

    def _ranking(self, base: Affix, edits: Sequence[Edit]) -> NDArray[np.int64]:
        """Return an order of edits (indices): those predicted best, mixed with random draws."""
        shifts = self._moves.features(edits) @ self._model.weights
        values = self._estimate(base).predicted(shifts)
        best = np.argsort(-values, kind="stable")
        spread = _DRAW_SPREAD * max(self._empty.score, 1e-3)
        drawn = np.argsort(-(values + spread * self._rng.gumbel(size=len(values))), kind="stable")
        share = self._rng.random(len(values)) < _DRAWN
        return np.where(share, drawn, best)

    def _estimate(self, base: Affix) -> Estimate:
        lengths = self._evaluator.lengths + base.tokens + 2
        reach = (lengths.mean() / lengths).astype(np.float32)
        shifts = ShiftScores(base, self._evaluator.truths, reach)
        return Estimate(shifts, self._empty_screened, self._evaluator.caution)

    def _race(self, base: Affix, field: list[tuple[str, Edit]]) -> str | None:
        """Score edits on ever more rows, dropping the worse; return the move of a new best."""
        count = len(self._evaluator)
        order = self._rng.permutation(count)
        estimate = self._estimate(base)
        vectors, seen = np.empty((len(field), 0, base.screened.shape[1]), np.float32), 0
        for rows in (*(size for size in self._settings.stages if size < count), count):
            more = self._evaluator.screen([text for text, _ in field], order[seen:rows])
            vectors, seen = np.concatenate([vectors, more], 1), rows
            if rows < count:
                edits = [edit for _, edit in field]
                kept = self._narrow(edits, vectors, estimate, order[:rows])
                field, vectors = [field[number] for number in kept], vectors[kept]
            if not field:
                return None
        return self._finish(field, vectors, order)

    def _narrow(
        self, edits: list[Edit], vectors: Vectors, estimate: Estimate, rows: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Learn from k edits' (k, m, d) vectors on m rows; return indices of edits to keep."""
        shifts = estimate.shifts.measured(vectors, rows)
        self._model.observe(self._moves.features(edits), shifts)
        scores = row_scores(vectors, self._evaluator.truths[rows])
        values, errors = estimate.measured(vectors, scores, rows)
        # The best quarter, less what can hardly be better than the elite.
        bar = self._elite[-1].value if len(self._elite) >= self._settings.elite else -np.inf
        keep = max(1, round(_SURVIVORS * len(values)))
        order = np.argsort(-values, kind="stable")[:keep]
        return order[values[order] + errors[order] > bar]

    def _finish(
        self, field: list[tuple[str, Edit]], vectors: Vectors, order: NDArray[np.int64]
    ) -> str | None:
        """Add a race's last edits to the elite (best affixes); return the move of a new best."""
        back = np.argsort(order)
        for (text, edit), some in zip(field, vectors, strict=True):
            self._elite.append(
                self._evaluator.screened(edit.units, text, some[back], self._empty_screened)
            )
        self._elite.sort(key=lambda row: -row.value)
        del self._elite[self._settings.elite :]
        first, edits = self._elite[0], dict(field)
        if first.text not in edits:
            return None
        # Float32 must agree, which costs several screenings; and whatever its value, the plain
        # mean score must be above that without an affix.
        exact = self._evaluator.exact(first, self._empty)
        if exact.value <= self.best.value or exact.score <= self._empty.score:
            return None
        self.best = exact
        return edits[first.text].move
