"""Scoring strings: token ids -> string -> vector -> expected sharpened cosine similarity (SCS).

A search edits the *body*, the token ids between the required prefix and suffix. What counts is
the string it becomes: every body is decoded, completed, tokenized again, and scored as that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np

from mean_prompt.encoder import Encoder, TokenIds
from mean_prompt.objective import Objective, Vectors
from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.constraints import Rules
from mean_prompt.system import State

#: Screened candidates that a step scores again in float32 at most, and how far below the best
#: string's screened score, as a share of the ceiling, one may stand: bfloat16 is about that noisy.
CONTENDERS: Final = 2
SCREENING_NOISE: Final = 0.001

#: The whole string of a body, the body as it is read back, and the whole string's ids.
_Spelled = tuple[str, TokenIds, TokenIds]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A scored string, with its token ids, unit vector and score.

    Attributes:
        body: ids of its editable part, as the tokenizer reads them back.
        ids: ids of the whole string, special tokens left out.
        vector: (d,) unit vector.
        score: expected SCS by the evaluator's objective, in the precision of the vector.
    """

    text: str
    body: TokenIds
    ids: TokenIds
    vector: Vectors
    score: float

    def state(self) -> State:
        """Return the string's fields for a checkpoint; :meth:`of_state` reads them back."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return parts | {"body": list(self.body), "ids": list(self.ids)}

    @classmethod
    def of_state(cls, state: State) -> Self:
        """Rebuild a scored string from what :meth:`state` returned."""
        ids = {name: tuple(state[name]) for name in ("body", "ids")}
        return cls(**state | ids | {"vector": state["vector"].numpy()})


class Evaluator:
    """Encodes and scores strings that obey the rules, and charges each one to the budget.

    Strings that break a rule are never scored. The budget is charged one evaluation for every
    string encoded, in either precision.
    """

    def __init__(
        self, encoder: Encoder, objective: Objective, rules: Rules, budget: Budget
    ) -> None:
        self.encoder = encoder
        self.objective = objective
        self.rules = rules
        self.budget = budget

    def charging(self, budget: Budget) -> Evaluator:
        """Return the same evaluator, which charges another budget."""
        return Evaluator(self.encoder, self.objective, self.rules, budget)

    def screen(self, bodies: Sequence[TokenIds]) -> list[Candidate | None]:
        """Score strings by their editable token ids, in the encoder's fast screening dtype.

        The result is ``None`` for one that breaks a rule. Equal strings share one evaluation.
        """
        return screen_together([(self, bodies)])[0]

    def screened(self, candidate: Candidate) -> Candidate:
        """Return a string scored again in the encoder's fast screening dtype."""
        return self.screen([candidate.body])[0] or candidate

    def exact(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return strings scored again in float32, in the same order."""
        if not candidates:
            return []
        rows = [(row.text, row.body, row.ids) for row in candidates]
        return self._judge(rows, self.encoder.encode_ids)

    def read(self, texts: Sequence[str]) -> list[Candidate]:
        """Score texts in float32, cut to the token limit, leaving out those that break a rule.

        Texts come from outside the search (a corpus, a user): they are put through the
        tokenizer's decoder once, so that they read as a move would have made them.
        """
        bodies = [ids[: self.rules.room] for ids in self.encoder.tokenize(texts)]
        rows = [row for row in self.spell(bodies) if row is not None]
        return self._judge(rows, self.encoder.encode_ids)

    def score_body(self, body: Sequence[int]) -> Candidate | None:
        """Score another process's editable token ids in float32; ``None`` if they break a rule."""
        [row] = self.spell([tuple(body)])
        return None if row is None else self._judge([row], self.encoder.encode_ids)[0]

    def measure_rate(self, length: int, *, batch: int = 16) -> float:
        """Return how many strings of ``length`` tokens are screened a second, after a warm-up."""
        token = self.encoder.tokenize(["text"])[0][:1]
        ids = [token * length] * batch
        self.encoder.screen_ids(ids)
        began = time.perf_counter()
        self.encoder.screen_ids(ids)
        self.budget.spend(2 * batch)
        return batch / (time.perf_counter() - began)

    def spell(self, bodies: Sequence[TokenIds]) -> list[_Spelled | None]:
        """Return the string that each body becomes; ``None`` for one that breaks a rule."""
        texts = self.encoder.decode(bodies)
        read_back = self.encoder.tokenize(texts)
        wholes = [self.rules.compose(text) for text in texts]
        ids = read_back if wholes == texts else self.encoder.tokenize(wholes)
        return [
            (whole, body, tokens) if body and self.rules.violation(whole, tokens) is None else None
            for whole, body, tokens in zip(wholes, read_back, ids, strict=True)
        ]

    def _judge(
        self, rows: Sequence[_Spelled], encode: Callable[[Sequence[TokenIds]], Vectors]
    ) -> list[Candidate]:
        return self.scored(rows, encode([ids for _, _, ids in rows]))

    def scored(self, rows: Sequence[_Spelled], vectors: Vectors) -> list[Candidate]:
        """Score strings by their (n, d) vectors, and charge them to the budget."""
        self.budget.spend(len(rows))
        scores = self.objective.score(vectors) if len(rows) else np.empty(0, np.float32)
        return [
            Candidate(*row, vector, float(score))
            for row, vector, score in zip(rows, vectors, scores, strict=True)
        ]


def screen_together(
    asked: Sequence[tuple[Evaluator, Sequence[TokenIds]]],
) -> list[list[Candidate | None]]:
    """Screen bodies for several objectives, each by its own evaluator, encoding them all at once.

    The evaluators must have one encoder and the same rules. Each is charged the different strings
    that it asked for; the result is ``None`` for one that breaks a rule.
    """
    together = [body for _, bodies in asked for body in bodies]
    if not together:
        return [[] for _ in asked]
    one = asked[0][0]
    spelled = iter(one.spell(together))
    parts = [[next(spelled) for _ in bodies] for _, bodies in asked]
    unique = {row[0]: row[2] for part in parts for row in part if row is not None}
    vectors = one.encoder.screen_ids(list(unique.values()))
    number = {text: n for n, text in enumerate(unique)}
    screened: list[list[Candidate | None]] = []
    for (evaluator, _), part in zip(asked, parts, strict=True):
        own = {row[0]: row for row in part if row is not None}
        scored = evaluator.scored(list(own.values()), vectors[[number[text] for text in own]])
        found = {candidate.text: candidate for candidate in scored}
        screened.append([None if row is None else found[row[0]] for row in part])
    return screened
