"""Suggest the next edit of a string: the search's likeliest edits, scored in float32."""

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

#: Suggestions that are returned by default.
_GIVEN: Final = 12
#: Steps of the search at one string, each of which learns from those before it.
_STEPS: Final = 3
#: Extra edits scored in float32, because screening in low precision is noisy.
_SPARE: Final = 4
#: Temperature, as a share of the ceiling: the likeliest edits are wanted, not a random walk.
_COLD: Final = 0.0002
#: A search's string nearly always has its full length; a user's is shorter, so more is inserted.
_SETTINGS: Final = ClimbSettings(
    width=24,
    predicted=384,
    vocabulary=8_192,
    spread=0.0005,
    moves=MoveMix(
        replace=0.45, combine=0.2, insert=0.2, delete=0.04, swap=0.02, move=0.05, phrase_in=0.04
    ),
)
#: Excess tokens up to which those of least contribution are dropped, which encodes one string per
#: token; with more, only the beginning or the end of the text is kept.
_FEW: Final = 16
#: A budget of evaluations that no suggestion uses up.
_NO_LIMIT: Final = 2**62


class Suggester:
    """Suggests edits that raise a string's score on a corpus and keep to a run's constraints.

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
        # Edits are found by their score on the training prompts, and shown with that on all.
        self._search = Evaluator(encoder, problem.screening, self.rules, budget)
        self._whole = Evaluator(encoder, problem.everything, self.rules, budget)
        self._starts: list[Candidate] | None = None

    @classmethod
    def of_run(cls, run: OpenRun, listener: Listener = ignore) -> Self:
        """Return a suggester with the corpus, the model and the constraints of a search run."""
        return cls(run.problem, run.encoder, run.recipe.constraints, listener=listener)

    def suggest(
        self, text: str, *, count: int = _GIVEN, deadline: Deadline | None = None
    ) -> Advice:
        """Suggest edits of a string, the one with the highest expected SCS first.

        The edited strings keep to the run's rules. If the string breaks a rule, the edits repair
        it; if it is blank, they are prompts to start from.

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
        """Return the strings that the search's likeliest edits lead to, with approximate scores."""
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
        """Suggest edits of a string that breaks a rule, so that it keeps to the rules."""
        bodies = _repaired_bodies(
            typed, self.rules, self._encoder, self._problem.everything, deadline
        )
        deadline.check()
        found = [row for row in self._search.screen(bodies) if row is not None] if bodies else []
        suggestions = self._scored(typed, _best(found, count), count)
        return Advice(text=typed.text, fault=fault, tried=len(bodies), suggestions=suggestions)

    def _starting_prompts(self, count: int) -> Advice:
        """Suggest the best prompts of the corpus, shortened to the token limit."""
        if self._starts is None:
            try:
                self._starts = corpus_starts(*self._problem.likely_starts(), self._whole)
            except RunError:  # no prompt keeps to the rules, even shortened
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
        """Return, by candidate text, the string with its unchanged tokens as the user typed them.

        A string of the same tokens has the same vector. If the tokens would change or a rule would
        be broken, the string is the candidate's own text.
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
    """Return token ids of shortened versions of a text that may keep to the rules that it breaks.

    They are the text's ids, and the ids without the tokens that may not be inserted; if these are
    too long, their beginning, their end, and all but the tokens of least contribution.
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
