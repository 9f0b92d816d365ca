"""Predicts the scores of token replacements, so that only the promising ones are encoded.

Two models stand in front of the encoder, each looking at fewer replacements more closely:

1. the *pair model* (:mod:`~mean_prompt.optimize.pair_model`) sees every token at every position,
   by the static vectors of the token put in and the one taken out;
2. *propagation* follows a few hundred replacements through the model, one token each
   (:mod:`mean_prompt.encoder.propagation`), corrected by a map learned from every evaluation.

Both predict a vector, not a gain. The score follows from it, with all its curvature:
``f(x + δ) / |x + δ|³``, f being a cubic form, expanded around x to second order.

Measured on all-MiniLM-L6-v2 at strings of 0.6 to 0.83 of the ceiling, 500 random replacements
each: the pair model's best 60 held 0.51 of the true best ten, a scalar ridge on the same
observations 0.31, static vectors against the tangent gradient 0.16, propagation 0.89. Within
propagation's best 50 the learned correction raised the correlation with the truth from 0.32 to
0.50.

Symbols: A allowed tokens, S of them looked at in a step, L tokens of the body, n tokens of the
whole string with the special ones, M replacements propagated, d width of the vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from mean_prompt.encoder import FrozenString, TokenIds
from mean_prompt.objective import Expansion, Vectors, to_numpy, to_tensor
from mean_prompt.optimize.combinations import Combinations, MeasuredEffects
from mean_prompt.optimize.evaluator import Candidate, Evaluator
from mean_prompt.optimize.pair_model import PairModel, TokenTable, scores_after
from mean_prompt.optimize.ridge import RecursiveRidge
from mean_prompt.optimize.vocabulary import Vocabulary
from mean_prompt.system import State, ragged, ragged_rows

#: Pull of the correction towards the identity, its rows being about 0.3 long, the weight of the
#: past after each step (about 100 steps count), and steps between two solutions.
_CORRECTION_RIDGE: Final = 0.05
_CORRECTION_DECAY: Final = 0.99
_SOLVE_EVERY: Final = 10
#: Combinations that are remembered, the newest, so that none is evaluated twice.
_REMEMBERED: Final = 20_000
#: Propagated replacements that the pair model learns from in a step; more taught it little.
_LESSONS: Final = 256
#: Share of the replacements that is drawn evenly, so that both models see the whole vocabulary.
_EVEN_SHARE: Final = 0.1
#: Keeps logarithms finite.
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Predicted vectors and scores of possible edits of one string.

    Attributes:
        positions: (M,) positions in the body at which a token is replaced.
        tokens: (M,) ids of the tokens put there.
        changes: (M, d) expected change of the string's unit vector, before normalisation.
        scores: (M,) expected SCS afterwards.
        effects: (M, 2 d) uncorrected result of propagation; ``None`` without propagation.
        sample: (S,) ids of the tokens that the pair model looked at.
        sample_scores: (S,) best expected SCS of each at any position.
        removal_scores: (L,) expected SCS without each token.
        phrases: token ids of the F phrases of the vocabulary.
        phrase_scores: (F,) their products with the gradient at the string, standardised.
    """

    expansion: Expansion
    positions: NDArray[np.int64]
    tokens: NDArray[np.int64]
    changes: torch.Tensor
    scores: Vectors
    effects: torch.Tensor | None
    sample: NDArray[np.int64]
    sample_scores: Vectors
    removal_scores: Vectors
    combinations: Combinations
    phrases: Sequence[TokenIds]
    phrase_scores: Vectors

    def replaced(self, body: TokenIds, row: int) -> TokenIds:
        """Return the string's token ids after the predicted replacement with index ``row``."""
        position = int(self.positions[row])
        return (*body[:position], int(self.tokens[row]), *body[position + 1 :])


@dataclass(frozen=True, slots=True, eq=False)
class _Visit:
    """Cached results for a climb's present string, kept for as long as the string stays the same.

    ``frozen`` are its hidden states if the model allows propagation; ``tried`` (L, A) holds whether
    a replacement, by position and allowed token, was evaluated at this string.
    """

    string: Candidate
    expansion: Expansion
    frozen: FrozenString | None
    tried: torch.Tensor


class Surrogate:
    """Predicts scores of a string's edits without the encoder, and learns from evaluated edits."""

    def __init__(
        self, vocabulary: Vocabulary, evaluator: Evaluator, rng: np.random.Generator
    ) -> None:
        encoder, objective = evaluator.encoder, evaluator.objective
        self._vocabulary = vocabulary
        self._special = encoder.special_token_count
        self._objective = objective
        # Number of the body's first token in the whole string.
        self._first = evaluator.rules.frame_tokens[0]
        self._rng = rng
        self._visit: _Visit | None = None
        self._measured = MeasuredEffects(objective.dimension)
        #: Evaluated combinations, the newest last.
        self._combined: dict[TokenIds, None] = {}
        table = _token_table(vocabulary, fast=encoder.screening.dtype == "bfloat16")
        self._pairs = PairModel(table)
        d = objective.dimension
        self._correction = RecursiveRidge(
            torch.eye(d).repeat(2, 1),
            ridge=_CORRECTION_RIDGE,
            decay=_CORRECTION_DECAY,
            solve_every=_SOLVE_EVERY,
        )

    def predict(
        self, current: Candidate, *, width: int, sampled: int, temperature: float
    ) -> Predictions:
        """Predict the scores of a string's edits, without replacements evaluated at it before.

        M = ``width`` replacements are predicted one by one, drawn from S = ``sampled`` tokens by
        the pair model's scores. The temperature of that draw is in units of the score.
        """
        visit = self._visited(current)
        expansion, here = visit.expansion, to_tensor(current.vector)
        allowed, phrases = self._vocabulary.allowed, self._vocabulary.phrases
        sample = torch.from_numpy(self._rng.permutation(len(allowed))[:sampled])
        held = torch.from_numpy(self._vocabulary.index[list(current.body)])
        n = len(current.ids) + self._special
        table, removals = self._pairs.scores(expansion, here, held, sample, n)
        at, columns = self._draw(table, width, temperature)
        chosen = sample[columns]
        new = ~visit.tried[at, chosen] & (chosen != held[at])
        at, chosen = at[new], chosen[new]
        tokens = allowed[chosen.numpy()]
        effects = self._effects(visit, at, tokens)
        if effects is None:
            changes = self._pairs.changes(chosen, held[at], n)
        else:
            changes = effects @ self._correction.weights
            lesson = slice(0, _LESSONS)
            self._pairs.learn(chosen[lesson], held[at][lesson], changes[lesson], n)
        gradient = to_tensor(self._objective.tangent_gradient(current.vector))
        return Predictions(
            expansion=expansion,
            positions=at.numpy(),
            tokens=tokens,
            changes=changes,
            scores=scores_after(expansion, here, changes),
            effects=effects,
            sample=allowed[sample.numpy()],
            sample_scores=to_numpy(table.amax(dim=0)),
            removal_scores=removals,
            combinations=self._measured.combinations(current, expansion, self._combined),
            phrases=phrases.bodies,
            phrase_scores=_standardized(to_numpy(torch.from_numpy(phrases.vectors) @ gradient)),
        )

    def learn(
        self,
        current: Candidate,
        predictions: Predictions,
        replaced: Mapping[int, Candidate | None],
        combined: Mapping[int, Candidate | None],
    ) -> None:
        """Learn from the true scores of some predicted edits, which are not predicted again.

        Replacements are left out at this string while the climb stays there, combinations at any.
        Both are given as the strings that they made, by their row among the predictions; ``None``
        for one that says nothing, since it broke a rule or read back as other tokens.
        """
        self._mark_tried(predictions, list(replaced), list(combined))
        found = {row: candidate for row, candidate in replaced.items() if candidate is not None}
        if found:
            self._learn_replacements(current, predictions, found)
        sums = {row: candidate for row, candidate in combined.items() if candidate is not None}
        if sums:
            self._measured.learn_combined(
                current, predictions.combinations, list(sums), list(sums.values())
            )

    def _mark_tried(
        self, predictions: Predictions, replaced: Sequence[int], combined: Sequence[int]
    ) -> None:
        for row in combined:
            body = predictions.combinations.bodies[row]
            self._combined.pop(body, None)
            self._combined[body] = None
        while len(self._combined) > _REMEMBERED:
            del self._combined[next(iter(self._combined))]
        if self._visit is not None:
            positions, tokens = predictions.positions[replaced], predictions.tokens[replaced]
            numbers = torch.from_numpy(self._vocabulary.index[tokens])
            self._visit.tried[torch.from_numpy(positions), numbers] = True

    def _learn_replacements(
        self, current: Candidate, predictions: Predictions, found: Mapping[int, Candidate]
    ) -> None:
        rows = list(found)
        here = to_tensor(current.vector)
        vectors = to_tensor(np.stack([candidate.vector for candidate in found.values()]))
        # Vectors are known as directions; each is given the length that was expected of it.
        expected = here + predictions.changes[rows]
        changes = vectors * (vectors * expected).sum(dim=1, keepdim=True) - here
        positions, tokens = predictions.positions[rows], predictions.tokens[rows]
        self._measured.observe(torch.from_numpy(np.stack([positions, tokens], axis=1)), changes)
        if predictions.effects is not None:
            self._correction.observe(predictions.effects[rows], changes)
            return
        index = self._vocabulary.index
        put_in = torch.from_numpy(index[tokens])
        taken = torch.from_numpy(index[[current.body[position] for position in positions]])
        self._pairs.learn(put_in, taken, changes, len(current.ids) + self._special)

    def state(self) -> State:
        """Return the learned models and the climb's present string, for a checkpoint."""
        visit = self._visit
        return {
            "visited": None if visit is None else visit.string.state(),
            "tried": None if visit is None else visit.tried.nonzero(),
            "measured": self._measured.state(),
            "combined": ragged(self._combined),
            "pairs": self._pairs.state(),
            "correction": self._correction.state(),
        }

    def restore(self, state: State) -> None:
        """Restore what :meth:`state` returned; the string's hidden states are recomputed."""
        self._visit = None
        if state["visited"] is not None:
            self._visit = self._first_visit(Candidate.of_state(state["visited"]))
            self._visit.tried[tuple(state["tried"].T)] = True
        self._measured.restore(state["measured"])
        self._combined = dict.fromkeys(ragged_rows(state["combined"]))
        self._pairs.restore(state["pairs"])
        self._correction.restore(state["correction"])

    def _visited(self, current: Candidate) -> _Visit:
        last = self._visit
        if last is None or last.string.text != current.text:
            if last is not None:
                self._measured.follow(last.string, current)
            last = self._visit = self._first_visit(current)
        return last

    def _first_visit(self, string: Candidate) -> _Visit:
        propagation = self._vocabulary.propagation
        return _Visit(
            string,
            self._objective.expansion(string.vector),
            propagation.freeze(string.ids) if propagation else None,
            torch.zeros((len(string.body), len(self._vocabulary.allowed)), dtype=torch.bool),
        )

    def _draw(
        self, table: torch.Tensor, width: int, temperature: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw cells of an (L, S) table of scores: most by Gumbel's top-k trick, some uniformly."""
        seed = int(self._rng.integers(2**62))
        generator = torch.Generator().manual_seed(seed)
        uniform = torch.rand(table.shape, generator=generator).clamp_(min=_TINY)
        gumbel = uniform.log_().neg_().clamp_(min=_TINY).log_().neg_()
        keys = (table / temperature + gumbel).flatten()
        even = int(width * _EVEN_SHARE)
        best = keys.topk(min(width - even, len(keys))).indices
        anywhere = torch.randint(len(keys), (even,), generator=generator)
        cells = torch.unique(torch.cat([best, anywhere]))
        # Sorted by position; shuffled, since the pair model learns from the first ones.
        cells = cells[torch.randperm(len(cells), generator=generator)]
        return cells // table.shape[1], cells % table.shape[1]

    def _effects(
        self, visit: _Visit, at: torch.Tensor, tokens: NDArray[np.int64]
    ) -> torch.Tensor | None:
        """Propagate M token replacements through the model, if it allows that: (M, 2 d) effects."""
        frozen, propagation = visit.frozen, self._vocabulary.propagation
        if propagation is None or frozen is None:
            return None
        # If decoding and tokenizing again merged tokens, a body may end past its string.
        inside = (at + self._first).clamp(max=len(frozen.hidden) - self._special - 1)
        return propagation.effects(frozen, inside.tolist(), tokens.tolist()).cpu()


@lru_cache(maxsize=1)
def _token_table(vocabulary: Vocabulary, *, fast: bool) -> TokenTable:
    """Return the table of a vocabulary's tokens, made once for all climbs."""
    return TokenTable.of(vocabulary.static, fast=fast)


def _standardized(values: Vectors) -> Vectors:
    """Return the z-scores of the values; zeros if all values are equal."""
    spread = float(values.std()) if len(values) else 0.0
    if spread == 0.0:
        return np.zeros_like(values)
    scores: Vectors = (values - values.mean()) / np.float32(spread)
    return scores
