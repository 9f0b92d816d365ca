"""A climber does what a study orders, and its climbs continue wherever they are resumed."""

import pickle

import pytest

from mean_prompt.optimize.climb import ClimbSettings
from mean_prompt.optimize.climber import Climber, ClimbOrder, Pace
from mean_prompt.optimize.exchange import Adoption
from mean_prompt.optimize.sampling import Sampling, StudySettings


@pytest.fixture
def make_climber(make_evaluator, make_vocabulary):
    def make():
        evaluator = make_evaluator()
        sampling = Sampling(StudySettings(), ClimbSettings(width=6, hot=0.05), seed=0)
        starts = evaluator.read(["poem", "make text", "the story"])
        return Climber(sampling, starts, make_vocabulary(evaluator.rules), evaluator, 0.9), starts

    return make


def begun(make_climber, number=0):
    climber, starts = make_climber()
    order = ClimbOrder(number, {"start": "corpus"}, starts[0])
    return climber, order, climber.begin(order)


def test_reports_count_the_evaluations_since_the_last_one(make_climber):
    climber, _, first = begun(make_climber)
    assert (first.steps, first.step.number, first.temperature) == (0, 0, 0.0)
    assert first.evaluations > 0
    reports = [climber.advance(0, Pace(share)) for share in (0.0, 0.5)]
    assert [report.steps for report in reports] == [1, 1]
    assert [report.step.number for report in reports] == [1, 2]
    assert all(1 <= report.evaluations <= 9 for report in reports)
    assert reports[0].temperature > reports[1].temperature > 0


def test_it_climbs_for_the_seconds_asked_or_to_the_end_of_the_length(make_climber):
    climber, _, _ = begun(make_climber)
    long = climber.advance(0, Pace(0.0), 0.2)
    assert long.steps > 1
    assert 0.2 <= long.seconds < 2.0
    over = climber.advance(0, Pace(0.9, per_evaluation=0.011), 60.0)
    assert over.evaluations <= 20


def test_a_climb_continues_elsewhere_as_it_would_have(make_climber):
    def rest(climber):
        reports = [climber.advance(0, Pace(0.5 + i / 40)) for i in range(12)]
        return [(report.step.best.text, report.current) for report in reports]

    climber, order, _ = begun(make_climber)
    kept = climber.advance(0, Pace(0.1), 0.0, True).state
    other = pickle.loads(pickle.dumps(make_climber()[0]))
    resumed = other.resume(order, kept)
    assert (resumed.step.number, resumed.evaluations) == (1, 0)
    assert rest(other) == rest(climber)


def test_a_better_string_is_adopted_a_worse_one_only_in_a_swap(make_climber):
    climber, _, first = begun(make_climber)
    best = first.step.best
    bodies = [(1, 2, 3, 4), (4, 4, 5, 6), (7, 8, 9, 1)]
    scored = sorted(filter(None, map(climber._evaluator.score_body, bodies)), key=lambda r: r.score)
    worst, top = scored[0], scored[-1]
    better = climber.adopt(0, Adoption(top.body, "better"))
    assert better.step.gained is (top.score > best.score)
    now = better.step.best
    assert climber.adopt(0, Adoption(worst.body, "better")).current != worst.body
    swapped = climber.adopt(0, Adoption(worst.body, "swap"))
    assert swapped.current == worst.body
    assert swapped.step.best.text == max(now, worst, key=lambda row: row.score).text


def test_the_best_string_between_two_is_found(make_climber):
    """No single token of the guide alone makes a better string."""
    climber, _, first = begun(make_climber)
    own = first.step.best.body
    guide = tuple(token % 9 + 1 for token in own)
    report = climber.adopt(0, Adoption(guide, "path"))
    score = climber._evaluator.score_body
    single = [score((*own[:i], guide[i], *own[i + 1 :])) for i in range(len(own))]
    best_single = max((row.score for row in single if row), default=0.0)
    assert report.step.best.score >= max(first.step.best.score, best_single) - 1e-6
    assert climber.adopt(0, Adoption(report.step.best.body, "path")).step.gained is False


def test_an_ended_climb_makes_place_for_the_next(make_climber):
    climber, order, _ = begun(make_climber)
    climber.begin(ClimbOrder(1, order.params, order.elite, after=0))
    climber.advance(1, Pace(0.0))
    with pytest.raises(KeyError):
        climber.advance(0, Pace(0.0))
