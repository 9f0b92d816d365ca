"""The search for an affix: edits ranked by a learned model, raced over growing mini-batches.

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
    Scores,
    row_scores,
)
from mean_prompt.optimize.affix.moves import Edit, EditName, Moves
from mean_prompt.optimize.affix.shifts import Estimate, ShiftScores, shift_model
from mean_prompt.optimize.affix.units import UnitBank
from mean_prompt.system import State

#: Share of a race's field that reaches the next, larger mini-batch.
_SURVIVORS: Final = 0.25
#: Share of the field that is drawn at random by the model's values, and the temperature of that
#: draw as a share of the score without an affix; the others are the model's very best.
_DRAWN: Final = 0.5
_DRAW_SPREAD: Final = 0.01
#: Share of the rounds that edit the best affix, rather than another one of the elite.
_BEST_BASE: Final = 0.5
#: Frequent phrases of the known prompts that the first race tries, whatever the model predicts.
_FIRST_PHRASES: Final = 16


class AffixSettings(BaseModel):
    """How affixes are searched.

    Attributes:
        caution: standard errors of a mean gain that are taken off it.
        likeness: correlation between the gains of rows with one true prompt.
        width: edits that a race begins with.
        stages: rows that a race's edits are scored on, before what is left is scored on all.
        elite: affixes kept to be edited.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    caution: float = Field(default=1.0, ge=0)
    likeness: float = Field(default=0.2, ge=0, le=1)
    width: int = Field(default=48, ge=1, le=4096)
    stages: tuple[Annotated[int, Field(ge=1)], ...] = (16, 64)
    elite: int = Field(default=6, ge=1, le=256)


@dataclass(frozen=True, slots=True, eq=False)
class AffixRound:
    """Where a search stands after one race.

    Attributes:
        number: of the round, from 0.
        best: affix so far, by value.
        move: that made the new best affix, or ``None`` if the race found none.
    """

    number: int
    best: Affix
    move: str | None


@dataclass(slots=True, eq=False)
class _Field:
    """The k affixes of a race, with their (k, m, d) vectors beside m rows."""

    edits: list[Edit]
    texts: list[str]
    vectors: Vectors

    def keep(self, chosen: NDArray[np.int64]) -> None:
        self.edits = [self.edits[number] for number in chosen]
        self.texts = [self.texts[number] for number in chosen]
        self.vectors = self.vectors[chosen]


class AffixSearch:
    """A search for the affix of the highest value.

    Args:
        evaluator: scores affixes, within a budget.
        bank: units that they are made of.
        empty: the empty affix; the result is never worth less.
        settings: how to search.
        seed: of every random choice.

    Attributes:
        best: affix so far, by value.
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
        """Search until the budget is spent, yielding after every race.

        The search ends early once no affix of the elite has an edit that was not tried.
        """
        while self._barren < 4 * len(self._elite) and not self._evaluator.budget.expired():
            undo = self._undo()
            base = self._base()
            field = self._propose(base)
            self._barren = 0 if field.texts else self._barren + 1
            try:
                move = self._race(base, field) if field.texts else None
            except BudgetSpentError:
                # As if the race had never begun: a resumed search runs it whole.
                undo()
                return
            self._number += 1
            yield AffixRound(self._number - 1, self.best, move)

    def state(self) -> State:
        """Return all that the rest of the search depends on, beside what it was made with."""
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
        """Continue from the :meth:`state` of a search made with the same arguments."""
        self._elite = [Affix.of_state(affix) for affix in state["elite"]]
        self.best = Affix.of_state(state["best"])
        self._tried = set(state["tried"])
        self._number, self._barren = state["number"], state["barren"]
        self._model.restore(state["model"])
        self._rng.bit_generator.state = state["rng"]

    def _undo(self) -> Callable[[], None]:
        """Return a function that restores the search as it is now."""
        elite, tried, barren = list(self._elite), set(self._tried), self._barren
        model, rng = copy.deepcopy(self._model.state()), self._rng.bit_generator.state

        def undo() -> None:
            self._elite, self._tried, self._barren = elite, tried, barren
            self._model.restore(model)
            self._rng.bit_generator.state = rng

        return undo

    def _base(self) -> Affix:
        if self._rng.random() < _BEST_BASE:
            return self._elite[0]
        return self._elite[int(self._rng.integers(len(self._elite)))]

    # -- what to try ----------------------------------------------------------------------------

    def _propose(self, base: Affix) -> _Field:
        """Return edits of an affix that keep to the rules and were not tried yet."""
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
        return _Field(list(texts.values()), list(texts), np.empty((len(texts), 0, 0), np.float32))

    def _ranking(self, base: Affix, edits: Sequence[Edit]) -> NDArray[np.int64]:
        """Return the numbers of edits, the model's best mixed with ones drawn by its values."""
        shifts = self._moves.features(edits) @ self._model.weights
        values = self._estimate(base).predicted(shifts)
        best = np.argsort(-values, kind="stable")
        spread = _DRAW_SPREAD * max(self._empty.score, 1e-3)
        drawn = np.argsort(-(values + spread * self._rng.gumbel(size=len(values))), kind="stable")
        share = self._rng.random(len(values)) < _DRAWN
        # Each place of the ranking comes from one order or the other.
        return np.where(share, drawn, best)

    def _estimate(self, base: Affix) -> Estimate:
        lengths = self._evaluator.lengths + base.tokens + 2
        reach = (lengths.mean() / lengths).astype(np.float32)
        shifts = ShiftScores(base, self._evaluator.truths, reach)
        return Estimate(shifts, self._empty_screened, self._evaluator.caution)

    # -- which of it is good --------------------------------------------------------------------

    def _race(self, base: Affix, field: _Field) -> str | None:
        """Race a field; return the move that made a new best affix, if one did."""
        count = len(self._evaluator)
        order = self._rng.permutation(count)
        estimate = self._estimate(base)
        seen = 0
        for rows in (*(size for size in self._settings.stages if size < count), count):
            part = order[seen:rows]
            vectors = self._evaluator.screen(field.texts, part)
            field.vectors = np.concatenate([field.vectors, vectors], 1) if seen else vectors
            seen = rows
            if rows < count:
                self._narrow(field, estimate, order[:rows])
            if not field.texts:
                return None
        return self._finish(field, order)

    def _narrow(self, field: _Field, estimate: Estimate, rows: NDArray[np.int64]) -> None:
        """Learn from a field's vectors beside some rows, and keep what may still win."""
        shifts = estimate.shifts.measured(field.vectors, rows)
        self._model.observe(self._moves.features(field.edits), shifts)
        scores = row_scores(field.vectors, self._evaluator.truths[rows])
        field.keep(self._surviving(*estimate.measured(field.vectors, scores, rows)))

    def _surviving(self, values: Scores, errors: Scores) -> NDArray[np.int64]:
        """Return the best quarter of a field, less what can hardly be better than the elite."""
        bar = self._elite[-1].value if len(self._elite) >= self._settings.elite else -np.inf
        keep = max(1, round(_SURVIVORS * len(values)))
        order = np.argsort(-values, kind="stable")[:keep]
        return order[values[order] + errors[order] > bar]

    def _finish(self, field: _Field, order: NDArray[np.int64]) -> str | None:
        """Add what is left to the elite; return the move that made a new best, if one did."""
        back = np.argsort(order)
        moves = {}
        for edit, text, vectors in zip(field.edits, field.texts, field.vectors, strict=True):
            screened = vectors[back]
            affix = self._evaluator.screened(edit.units, text, screened, self._empty_screened)
            moves[text] = edit.move
            self._elite.append(affix)
        self._elite.sort(key=lambda row: -row.value)
        del self._elite[self._settings.elite :]
        return self._accept(moves)

    def _accept(self, moves: dict[str, EditName]) -> str | None:
        """Make the elite's first the best if float32 agrees, which costs several screenings.

        Whatever its value, its plain mean score over the rows must not be below that without one.
        """
        first = self._elite[0]
        if first.text not in moves:
            return None
        exact = self._evaluator.exact(first, self._empty)
        if exact.value <= self.best.value or exact.score <= self._empty.score:
            return None
        self.best = exact
        return moves[first.text]
