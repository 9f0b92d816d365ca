"""A study set up on a problem, begun or gone on with: what every process that climbs does alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mean_prompt.encoder import Encoder
from mean_prompt.optimize import (
    Budget,
    Candidate,
    ClimbStudy,
    Evaluator,
    Problem,
    ResultBoard,
    Rules,
    StudyEvent,
    Vocabulary,
    corpus_starts,
)
from mean_prompt.runs.progress import Tracker
from mean_prompt.runs.recipe import Recipe
from mean_prompt.runs.resume import Resumer
from mean_prompt.runs.telling import ProgressReporter
from mean_prompt.system import State


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """What a study begins with; found once for a run, as it costs evaluations.

    Attributes:
        starts: corpus starts, best first.
        rate: strings screened a second at the token limit.
    """

    starts: list[Candidate]
    rate: float

    @classmethod
    def find(cls, problem: Problem, evaluator: Evaluator) -> StartingPoint:
        """Score the likely starts, and time the encoder.

        Raises:
            RunError: no prompt of the corpus can be brought under the constraints.
        """
        starts = corpus_starts(*problem.likely_starts(), evaluator)
        rate = evaluator.measure_rate(evaluator.rules.constraints.max_tokens)
        return cls(starts, rate)

    def state(self) -> State:
        """Return it as a state, which :meth:`of_state` reads back."""
        return {"starts": [start.state() for start in self.starts], "rate": self.rate}

    @classmethod
    def of_state(cls, state: State) -> StartingPoint:
        """Return the opening that a state is of."""
        return cls([Candidate.of_state(start) for start in state["starts"]], state["rate"])


class StudySession:
    """The climbs of one process on one problem.

    Args:
        problem: what is searched on.
        recipe: how.
        rules: which strings are allowed.
        encoder: the model.
        budget: of the run.
        memory: of earlier processes.
        tracker: keeps the best string, the best start at first.
        tell: hears notes, and what is embedded of the vocabulary.
        known: bodies of strings that others found before.
    """

    def __init__(
        self,
        problem: Problem,
        recipe: Recipe,
        rules: Rules,
        encoder: Encoder,
        budget: Budget,
        memory: Resumer,
        tracker: Tracker,
        tell: ProgressReporter,
        *,
        known: Sequence[Sequence[int]] = (),
    ) -> None:
        self._problem = problem
        self._recipe = recipe
        self._memory = memory
        self._tracker = tracker
        self._rules = rules
        self._tell = tell
        self._evaluator = Evaluator(encoder, problem.screening, rules, budget, tape=memory.tape)
        kept = memory.state
        if kept is None:
            self._opening = StartingPoint.find(problem, self._evaluator)
            revived = filter(None, map(self.revive, known))
            start = max([self._opening.starts[0], *revived], key=lambda row: row.score)
            tracker.improve(start, trial=0, move="start")
        else:
            self._opening = StartingPoint.of_state(kept["opening"])
        with tell.embedding() as listener:
            self._material = Vocabulary.gather(
                problem.train_prompts, encoder, rules, listener=listener, deadline=budget.deadline
            )
        if self._material.notice:
            tell.notes(self._material.notice)

    def revive(self, body: Sequence[int]) -> Candidate | None:
        """Score a body that another process found; ``None`` where it breaks a rule."""
        return self._evaluator.revive(body)

    def study(self, exchange: ResultBoard | None, *, worker: int = 0, crew: int = 1) -> ClimbStudy:
        """Return the study that the recipe asks for, at its beginning.

        Args:
            exchange: where climbs that ended go.
            worker: number of this one among those that share the exchange.
            crew: workers on the study, which are each other's rivals where there are several.
        """
        chosen = self._recipe.study
        rivals = chosen.rivals if crew == 1 else 1
        return ClimbStudy(
            chosen.model_copy(update={"rivals": rivals}),
            self._recipe.climb,
            self._opening.starts,
            self._material,
            self._evaluator,
            ceiling=self._problem.train_ceiling,
            rate=self._opening.rate,
            seed=self._recipe.search.seed,
            exchange=exchange,
            worker=worker,
        )

    def run(self, study: ClimbStudy) -> Iterator[StudyEvent]:
        """Yield what the tracker followed of a study, begun or gone on with."""
        memory, tracker = self._memory, self._tracker

        def state() -> State:
            return {
                "opening": self._opening.state(),
                "study": study.state(),
                "tracker": tracker.state(),
            }

        def restore(kept: State) -> None:
            study.restore(kept["study"])
            tracker.restore(kept["tracker"], since=memory.since)

        def recall() -> None:
            best = tracker.best_before
            if best is not None:
                for found in self._evaluator.read([self._rules.body_of(best)]):
                    study.elite = max(study.elite, found, key=lambda row: row.score)
                    tracker.take_back(found)

        for moment in memory.going_on(study.run, state, restore, self._tell, recall):
            tracker.follow(moment)
            yield moment
