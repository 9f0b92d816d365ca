"""What a tracker reports is exact, and exact scores take a small share of the time."""

import numpy as np
import pytest

from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.evaluator import Candidate
from mean_prompt.runs import tracker as module
from mean_prompt.runs.inputs import SearchInputs
from mean_prompt.runs.session import StringScoring
from mean_prompt.runs.tracker import Tracker


class Clock:
    """A clock that each exact score moves on, and each step of the search."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


class CompressedProblem:
    """Exact scores are half the compressed ones, but for those in ``exact``."""

    compression = object()
    train_ceiling = 1.0

    def __init__(self, clock, seconds, exact=None):
        self.clock, self.seconds, self.exact, self.scored = clock, seconds, exact or {}, []

    def train_score(self, vector):
        self.clock.now += self.seconds
        self.scored.append(float(vector[0]))
        return self.exact.get(float(vector[0]), float(vector[0]) / 2)

    def holdout_score(self, _vector):
        return 0.25


def candidate(score):
    return Candidate(f"text {score}", (1,), (1,), np.array([score]), score)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def follow(clock, problem, scores, *, pause):
    reported = []
    tracker = Tracker(
        SearchInputs((), None, None, Budget(max_evaluations=10), listener=reported.append),
        StringScoring(problem),
    )
    tracker.improve(candidate(0.1), trial=0, move="start")
    for score in scores:
        clock.now += pause
        tracker.follow(candidate(score), 0, "replace")
    return tracker, reported


def test_every_reported_score_is_exact(clock):
    problem = CompressedProblem(clock, seconds=0.0)
    tracker, reported = follow(clock, problem, [0.2, 0.15, 0.4], pause=1.0)
    assert [progress.score for progress in reported] == [0.05, 0.1, 0.1, 0.2]
    assert [progress.gained for progress in reported] == [True, True, False, True]
    assert tracker.best.score == 0.2


def test_a_string_that_only_the_compressed_objective_prefers_is_not_reported(clock):
    problem = CompressedProblem(clock, seconds=0.0, exact={0.3: 0.09})
    tracker, reported = follow(clock, problem, [0.2, 0.3, 0.31], pause=1.0)
    texts = [progress.text for progress in reported if progress.gained]
    assert texts == ["text 0.1", "text 0.2", "text 0.31"]
    assert tracker.best.text == "text 0.31"


def test_exact_scores_take_a_small_share_of_the_time(clock):
    problem = CompressedProblem(clock, seconds=1.0)
    scores = (0.1 + np.arange(1, 1_001) / 10_000).tolist()
    tracker, reported = follow(clock, problem, scores, pause=0.5)
    assert len(reported) == 1_001
    assert 5 <= len(problem.scored) <= 0.02 * tracker.search_seconds + 2


def test_what_waits_at_the_end_is_scored_then(clock):
    problem = CompressedProblem(clock, seconds=10.0)
    tracker, reported = follow(clock, problem, [0.2, 0.3], pause=1.0)
    assert tracker.best.text == "text 0.1"
    assert tracker.settle()
    assert (tracker.best.text, tracker.best.score) == ("text 0.3", 0.15)
    assert reported[-1].gained
    assert problem.scored == [0.1, 0.3]
    assert not tracker.settle()


def test_an_exact_search_is_not_scored_again(clock):
    problem = CompressedProblem(clock, seconds=1.0)
    problem.compression = None
    tracker, _ = follow(clock, problem, [0.2, 0.3], pause=0.0)
    assert tracker.best.score == 0.3
    assert problem.scored == []
