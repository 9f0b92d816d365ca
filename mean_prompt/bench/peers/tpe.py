"""Optuna's TPE over phrase slots: search without token moves or gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from mean_prompt.bench.method import SearchTask
from mean_prompt.bench.peers.incumbent import Incumbent
from mean_prompt.encoder import TokenIds
from mean_prompt.objective import Vectors
from mean_prompt.optimize import Candidate

if TYPE_CHECKING:
    import optuna

#: What a string against a rule is told to have scored: the worst that expected SCS can be.
_FORBIDDEN: Final = -1.0


@dataclass(frozen=True, slots=True)
class _Space:
    """What one study draws from.

    Attributes:
        heads: bodies that a string may begin with.
        phrases: bodies that a slot may hold.
        slots: number of slots.
        room: most tokens of a body.
    """

    heads: list[TokenIds]
    phrases: list[TokenIds]
    slots: int
    room: int

    def first(self) -> dict[str, int]:
        """Return the parameters of the first head alone."""
        empty = {f"slot {slot}": len(self.phrases) for slot in range(self.slots)}
        return {"head": 0, "kept": self.room} | empty

    def draw(self, trial: optuna.Trial) -> TokenIds:
        """Return the body that a trial's parameters spell: head, cut, then phrases, cut."""
        head = self.heads[trial.suggest_categorical("head", range(len(self.heads)))]
        body = head[: trial.suggest_int("kept", 0, self.room)]
        choices = [*self.phrases, ()]
        for slot in range(self.slots):
            body += choices[trial.suggest_categorical(f"slot {slot}", range(len(choices)))]
        return body[: self.room]


@dataclass(frozen=True, slots=True)
class TPE:
    """The tree-structured Parzen estimator (Bergstra et al. 2011), as Optuna 5 has it.

    A string is a head, of which the first ``kept`` tokens stay, and ``slots`` phrases behind it,
    cut to the token limit. Head and phrases are categorical: a head is the best string so far or
    one of the best corpus prompts; a phrase is one of ``bank`` phrases and words, those whose
    vectors agree most with the objective's tangent gradient at the best string, or none.

    No settings are published for this. TPE is multivariate, and a batch is asked for before any
    of it is told (constant liar). It takes several milliseconds a trial, more as trials add up,
    and its bank ages as the best string moves, so that every ``trials`` trials a new study begins
    at the best string.

    Attributes:
        slots: of one string.
        bank: phrases and words that a slot may hold.
        batch: trials scored at once.
        trials: of one study.
    """

    slots: int = 8
    bank: int = 64
    batch: int = 32
    trials: int = 512

    @property
    def name(self) -> str:
        """What the method is called."""
        return "tpe"

    def search(self, task: SearchTask, start: Candidate | None = None) -> Iterator[Candidate]:
        """Search as :class:`~mean_prompt.bench.method.Method` says."""
        rng = np.random.default_rng(task.seed)
        incumbent = Incumbent(task, start)
        yield incumbent.best
        while not task.evaluator.budget.expired():
            space = self._space(task, incumbent.best)
            yield from self._one_study(space, int(rng.integers(2**31)), task, incumbent)

    def _one_study(
        self, space: _Space, seed: int, task: SearchTask, incumbent: Incumbent
    ) -> Iterator[Candidate]:
        study = _create(seed)
        study.enqueue_trial(space.first())
        for _ in range(0, self.trials, self.batch):
            if task.evaluator.budget.expired():
                return
            trials = [study.ask() for _ in range(self.batch)]
            screened = incumbent.screen([space.draw(trial) for trial in trials])
            for trial, row in zip(trials, screened, strict=True):
                study.tell(trial, _FORBIDDEN if row is None else row.score)
            yield incumbent.best

    def _space(self, task: SearchTask, best: Candidate) -> _Space:
        tangent = task.evaluator.objective.tangent_gradient(best.vector)
        heads = dict.fromkeys([best.body, *(row.body for row in task.starts)])
        phrases = self._ranked(task, tangent)
        return _Space(list(heads), phrases, self.slots, task.evaluator.rules.room)

    def _ranked(self, task: SearchTask, tangent: Vectors) -> list[TokenIds]:
        """Return the phrases and words whose vectors agree most with the tangent gradient."""
        material = task.material
        numbers = np.flatnonzero(task.evaluator.rules.starts_word[material.allowed])
        words: Sequence[TokenIds] = [(int(token),) for token in material.allowed[numbers]]
        bodies = [*material.phrases.bodies, *words]
        vectors = np.concatenate([material.phrases.vectors, material.static[numbers]])
        order = np.argsort(-(vectors @ tangent), kind="stable")[: self.bank]
        return [bodies[i] for i in order]


def _create(seed: int) -> optuna.Study:
    import optuna

    # Optuna announces every study and trial on standard error; the run has a display of its own.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    return optuna.create_study(direction="maximize", sampler=sampler)
