"""Search by Optuna's TPE, which combines a corpus prompt with phrases; no gradients are used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from mean_prompt.bench.method import SearchTask
from mean_prompt.bench.peers.incumbent import Incumbent, Peer
from mean_prompt.encoder import TokenIds
from mean_prompt.objective import Vectors

if TYPE_CHECKING:
    import optuna

#: The score reported for a string that breaks a rule: the lowest possible expected SCS.
_FORBIDDEN: Final = -1.0


@dataclass(frozen=True, slots=True)
class _SlotSpace:
    """The search space of one Optuna study: a head string, then phrases, within ``room`` tokens."""

    heads: list[TokenIds]
    phrases: list[TokenIds]
    slots: int
    room: int

    def first(self) -> dict[str, int]:
        """Return the Optuna parameters of the string that is the first head without phrases."""
        empty = {f"slot {slot}": len(self.phrases) for slot in range(self.slots)}
        return {"head": 0, "kept": self.room} | empty

    def draw(self, trial: optuna.Trial) -> TokenIds:
        """Return the token ids of a trial's string: a shortened head, then phrases, cut to fit."""
        head = self.heads[trial.suggest_categorical("head", range(len(self.heads)))]
        body = head[: trial.suggest_int("kept", 0, self.room)]
        choices = [*self.phrases, ()]
        for slot in range(self.slots):
            body += choices[trial.suggest_categorical(f"slot {slot}", range(len(choices)))]
        return body[: self.room]


@dataclass(frozen=True, slots=True)
class TPE(Peer):
    """The tree-structured Parzen estimator (Bergstra et al. 2011), as Optuna 5 has it.

    A string is a head, of which the first ``kept`` tokens stay, followed by ``slots`` phrases, and
    cut to the token limit. Head and phrases are categorical: a head is the best string so far or
    one of the best corpus prompts; a phrase is empty or one of the ``bank`` phrases and words whose
    vectors agree most with the objective's tangent gradient at the best string.

    No settings are published for this. TPE is multivariate, and suggests a whole batch before it
    learns any score of the batch (constant liar). TPE takes several milliseconds a trial, more as
    trials accumulate, and the ranking of phrases becomes outdated as the best string changes: every
    ``trials`` trials a new study begins at the best string.
    """

    name: ClassVar[str] = "tpe"
    slots: int = 8
    bank: int = 64
    batch: int = 32
    trials: int = 512

    def steps(
        self, task: SearchTask, incumbent: Incumbent, rng: np.random.Generator
    ) -> Iterator[None]:
        """In each step, score a batch of trials; studies follow one another."""
        while True:
            best = incumbent.best
            heads = list(dict.fromkeys([best.body, *(row.body for row in task.starts)]))
            phrases = self._ranked(task, task.evaluator.objective.tangent_gradient(best.vector))
            space = _SlotSpace(heads, phrases, self.slots, task.evaluator.rules.room)
            yield from self._one_study(space, int(rng.integers(2**31)), incumbent)

    def _one_study(self, space: _SlotSpace, seed: int, incumbent: Incumbent) -> Iterator[None]:
        import optuna

        # Optuna logs every study and trial on standard error; the run has a display of its own.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.enqueue_trial(space.first())
        for _ in range(0, self.trials, self.batch):
            trials = [study.ask() for _ in range(self.batch)]
            screened = incumbent.screen([space.draw(trial) for trial in trials])
            for trial, row in zip(trials, screened, strict=True):
                study.tell(trial, _FORBIDDEN if row is None else row.score)
            yield

    def _ranked(self, task: SearchTask, tangent: Vectors) -> list[TokenIds]:
        """Return the phrases and words whose vectors agree most with the tangent gradient."""
        vocabulary = task.vocabulary
        numbers = np.flatnonzero(task.evaluator.rules.starts_word[vocabulary.allowed])
        words: Sequence[TokenIds] = [(int(token),) for token in vocabulary.allowed[numbers]]
        bodies = [*vocabulary.phrases.bodies, *words]
        vectors = np.concatenate([vocabulary.phrases.vectors, vocabulary.static[numbers]])
        order = np.argsort(-(vectors @ tangent), kind="stable")[: self.bank]
        return [bodies[i] for i in order]
