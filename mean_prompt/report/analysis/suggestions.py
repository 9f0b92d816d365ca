"""Suggestions for the next edit of a string: the engine's shortlist, scored in float32."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, Self

import numpy as np

from mean_prompt.encoder import Encoder, TokenIds
from mean_prompt.objective import Objective
from mean_prompt.optimize import (
    Budget,
    Candidate,
    ClimbSettings,
    Constraints,
    Edits,
    Evaluator,
    MoveMix,
    Problem,
    Rules,
    Vocabulary,
    corpus_starts,
)
from mean_prompt.report.analysis.data import Advice, Suggestion
from mean_prompt.report.analysis.edits import TypedText, described, edited
from mean_prompt.report.analysis.opened_run import OpenRun
from mean_prompt.report.analysis.tokens import token_worths
from mean_prompt.system import Deadline, Listener, RunError, ignore

#: Suggestions that are given.
_GIVEN: Final = 12
#: Steps of the engine at one string, each of which learns from those before it.
_STEPS: Final = 3
#: Edits scored in float32 beyond those that are given, because screening is noisy.
_SPARE: Final = 4
#: Temperature, as a share of the ceiling: the likeliest edits are wanted, not a random walk.
_COLD: Final = 0.0002
#: A climb is at full length nearly always; a user who types is not, and adds words.
_SETTINGS: Final = ClimbSettings(
    width=24,
    predicted=384,
    vocabulary=8_192,
    spread=0.0005,
    moves=MoveMix(
        replace=0.45, combine=0.2, insert=0.2, delete=0.04, swap=0.02, move=0.05, phrase_in=0.04
    ),
)
#: Excess tokens up to which the least worthy ones are searched, with one string encoded a token;
#: of a longer text only an end is kept.
_FEW: Final = 16
#: More evaluations than any suggestion takes.
_NO_LIMIT: Final = 2**62


class Suggester:
    """Suggests edits of strings on one problem, under a run's rules.

    The same string gets the same suggestions, whatever was asked before. Calls must not overlap.

    Raises:
        InputError: the constraints contradict the model.
    """

    def __init__(
        self,
        problem: Problem,
        encoder: Encoder,
        constraints: Constraints,
        *,
        listener: Listener = ignore,
    ) -> None:
        self.rules = Rules(constraints, encoder)
        self._problem = problem
        self._encoder = encoder
        self._vocabulary = Vocabulary.gather(
            problem.train_prompts, encoder, self.rules, listener=listener
        )
        budget = Budget(None, _NO_LIMIT)
        # Found by their score over the training side, as in the search; shown with that over all.
        self._search = Evaluator(encoder, problem.screening, self.rules, budget)
        self._whole = Evaluator(encoder, problem.everything, self.rules, budget)
        self._starts: list[Candidate] | None = None

    @classmethod
    def of_run(cls, run: OpenRun, listener: Listener = ignore) -> Self:
        """Return the suggester of a run's problem and rules."""
        return cls(run.problem, run.encoder, run.recipe.constraints, listener=listener)

    def suggest(
        self, text: str, *, count: int = _GIVEN, deadline: Deadline | None = None
    ) -> Advice:
        """Suggest edits of a string.

        Suggestions keep to the rules, the one with the highest expected SCS first. If the string
        breaks a rule, they repair it; if it is blank, they are prompts to start from.

        Raises:
            OutOfTimeError: the deadline expired.
        """
        deadline = deadline or Deadline()
        typed = TypedText.read(text, self._encoder)
        fault = self.rules.violation(text, typed.ids)
        if not text.strip():
            return self._starting_prompts(count)
        if fault is not None:
            return self._repairs(typed, fault, count, deadline)
        read = self._search.read([self.rules.body_of(text)])
        if not read:
            return self._repairs(
                typed, "is written otherwise by the model's tokenizer", count, deadline
            )
        found = self._tried_at(read[0], text, deadline)
        suggestions = self._scored(typed, _best(found, count + _SPARE), count)
        tried = len({row.text for row in found})
        return Advice(text=text, fault=None, tried=tried, suggestions=suggestions)

    def _tried_at(self, state: Candidate, text: str, deadline: Deadline) -> list[Candidate]:
        """Return the strings that the engine's likeliest edits lead to, screened."""
        ceiling = self._problem.train_ceiling
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        rng = np.random.default_rng([self._problem.seed, int.from_bytes(digest[:8])])
        edits = Edits(self._vocabulary, self._search, _SETTINGS, ceiling, rng)
        found: list[Candidate] = []
        for _ in range(_STEPS):
            deadline.check()
            found += [candidate for _, candidate in edits.try_at(state, ceiling * _COLD)]
        deadline.check()
        return found

    def _repairs(self, typed: TypedText, fault: str, count: int, deadline: Deadline) -> Advice:
        """Suggest strings that keep to the rules, near one that breaks them."""
        bodies = _repaired_bodies(
            typed, self.rules, self._encoder, self._problem.everything, deadline
        )
        deadline.check()
        found = [row for row in self._search.screen(bodies) if row is not None] if bodies else []
        suggestions = self._scored(typed, _best(found, count), count)
        return Advice(text=typed.text, fault=fault, tried=len(bodies), suggestions=suggestions)

    def _starting_prompts(self, count: int) -> Advice:
        """Suggest the best prompts of the corpus, cut to the rules."""
        if self._starts is None:
            try:
                self._starts = corpus_starts(*self._problem.likely_starts(), self._whole)
            except RunError:  # no prompt keeps to the rules, even cut
                self._starts = []
        suggestions = tuple(
            Suggestion(edit="start with this", text=row.text, score=row.score, gain=None)
            for row in _best(self._starts, count)
        )
        return Advice(text="", fault="is blank", tried=len(self._starts), suggestions=suggestions)

    def _scored(
        self, typed: TypedText, found: Sequence[Candidate], count: int
    ) -> tuple[Suggestion, ...]:
        """Score candidates in float32 over every prompt, and describe their edits."""
        base = float(self._problem.everything.score(self._encoder.encode([typed.text]))[0])
        found = self._whole.exact([row for row in found if row.text != typed.text])
        texts = self._as_typed(typed, found)
        return tuple(
            Suggestion(
                edit=described(typed, row.ids, self.rules) or "write it as the model reads it",
                text=texts[row.text],
                score=row.score,
                gain=row.score - base,
            )
            for row in _best(found, count)
        )

    def _as_typed(self, typed: TypedText, found: Sequence[Candidate]) -> dict[str, str]:
        """Return each candidate's string with everything it keeps as it was typed.

        A string of the same tokens has the same vector. If the tokens would change or a rule be
        broken, it is the candidate's own text.
        """
        texts = [edited(typed, row.ids, self.rules) for row in found]
        chosen: dict[str, str] = {}
        for row, text, ids in zip(found, texts, self._encoder.tokenize(texts), strict=True):
            fits = ids == row.ids and self.rules.violation(text, ids) is None
            chosen[row.text] = text if fits else row.text
        return chosen


def _best(found: Iterable[Candidate], count: int) -> list[Candidate]:
    """Return the best candidates with different strings, best first."""
    distinct = {row.text: row for row in found}
    return sorted(distinct.values(), key=lambda row: (-row.score, row.text))[:count]


def _repaired_bodies(
    typed: TypedText,
    rules: Rules,
    encoder: Encoder,
    objective: Objective,
    deadline: Deadline | None = None,
) -> list[TokenIds]:
    """Return distinct strings of tokens that may keep to the rules which a text breaks.

    They are the text as the tokenizer writes it, and without the tokens that no move may insert;
    if that is too long, its beginning, its end, and the rest without its least worthy tokens.
    """
    ids = encoder.tokenize([rules.body_of(typed.text)])[0]
    allowed = set(rules.allowed.tolist())
    fit = tuple(token for token in ids if token in allowed)
    bodies = [body for whole in (ids, fit) for body in (whole[: rules.room], whole[-rules.room :])]
    for whole in dict.fromkeys((ids, fit)):
        if 0 < len(whole) - rules.room <= _FEW:
            [text] = encoder.decode([whole])
            worths = token_worths(text, encoder, objective, deadline=deadline)
            if len(worths) == len(whole):
                least = np.argsort([row.worth for row in worths])[: len(whole) - rules.room]
                kept = sorted(set(range(len(whole))) - set(least.tolist()))
                bodies.append(tuple(whole[i] for i in kept))
    return list(dict.fromkeys(body for body in bodies if body))
