"""Beam search that appends words, as used in the LLM Prompt Recovery competition on Kaggle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.bench.method import SearchTask
from mean_prompt.bench.peers.incumbent import Incumbent, Peer
from mean_prompt.encoder import TokenIds
from mean_prompt.optimize import Candidate

#: Share of the whole budget that one growth may take.
_GROWTH_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Beam(Peer):
    """Beam search over strings that grow by a word a round, as gold teams ran it (Kaggle, 2024).

    A round appends every word (allowed token that starts a word) to each string of the beam, and
    keeps the ``width`` strings of highest score. Rounds follow until the token limit; then the
    beam starts over. It starts first from the best corpus prompts, which every method gets; later
    from the words of a random half of the vocabulary whose own vectors score best.

    Different here: a full round takes ``width`` times 20,000 evaluations, and gold teams had
    hours. Here the rounds up to the token limit share half of the budget evenly, and a round tries
    pairs of string and word in random order until its share of the budget ends.

    Attributes:
        batch: pairs of string and word tried before the round's share is checked again.
    """

    name: ClassVar[str] = "beam"
    width: int = 100
    batch: int = 512

    def steps(
        self, task: SearchTask, incumbent: Incumbent, rng: np.random.Generator
    ) -> Iterator[None]:
        """In each step, append words to some of the strings of the beam."""
        vocabulary = task.vocabulary
        words = vocabulary.allowed[task.evaluator.rules.starts_word[vocabulary.allowed]]
        scores = task.evaluator.objective.score(vocabulary.static[vocabulary.index[words]])
        by_score = words[np.argsort(-scores, kind="stable")]
        beam = self._best([incumbent.best, *task.starts])
        while True:
            yield from self._grow(beam, words, task, incumbent, rng)
            seeds = by_score[np.sort(rng.permutation(len(words))[: (len(words) + 1) // 2])]
            screened = incumbent.screen([(int(word),) for word in seeds[: self.width]])
            beam = self._best([row for row in screened if row is not None])
            yield

    def _grow(
        self,
        beam: list[Candidate],
        words: NDArray[np.int64],
        task: SearchTask,
        incumbent: Incumbent,
        rng: np.random.Generator,
    ) -> Iterator[None]:
        """Append words to the beam's strings, round by round, until the token limit."""
        budget, room = task.evaluator.budget, task.evaluator.rules.room
        rounds = room - min((len(row.body) for row in beam), default=room)
        began = budget.fraction()
        for number in range(rounds):
            until = began + _GROWTH_SHARE * (number + 1) / rounds
            parents = [row.body for row in beam if len(row.body) < room]
            beam = []
            for bodies in self._batches(parents, words, rng):
                screened = incumbent.screen(bodies)
                beam = self._best([*beam, *(row for row in screened if row is not None)])
                yield
                if budget.fraction() >= until:
                    break

    def _batches(
        self, parents: Sequence[TokenIds], words: NDArray[np.int64], rng: np.random.Generator
    ) -> Iterator[list[TokenIds]]:
        """Yield batches of token ids: every parent with every word appended, in random order."""
        pairs = rng.permutation(len(parents) * len(words))
        for first in range(0, len(pairs), self.batch):
            numbers, chosen = np.divmod(pairs[first : first + self.batch], len(words))
            yield [
                (*parents[number], word)
                for number, word in zip(numbers.tolist(), words[chosen].tolist(), strict=True)
            ]

    def _best(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        distinct = {row.text: row for row in candidates}
        return sorted(distinct.values(), key=lambda row: -row.score)[: self.width]
