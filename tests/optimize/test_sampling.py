"""What Optuna is asked about a study: the climbs that ended, and of many the last."""

import pytest

from mean_prompt.optimize.climb import ClimbSettings
from mean_prompt.optimize.sampling import Sampling, StudySettings
from tests.climbs import climb


@pytest.fixture
def sampling():
    return Sampling(StudySettings(), ClimbSettings(), seed=3)


def climbs(count, *, score, first=0):
    drawn = Sampling(StudySettings(), ClimbSettings(), seed=8)
    reports = [score * tenth / 10 for tenth in range(1, 11)]
    return [
        climb(number, score=score, reports=reports, params=drawn.draw(number, ()))
        for number in range(first, first + count)
    ]


def test_what_is_drawn_follows_from_the_number_and_the_climbs_that_ended(sampling):
    ended = climbs(12, score=0.5)
    assert sampling.draw(20, ended) == sampling.draw(20, ended)
    assert sampling.draw(20, ended) != sampling.draw(21, ended)
    assert sampling.draw(20, ended) != sampling.draw(20, ended[1:])


def test_of_many_climbs_the_last_count(sampling):
    """Whatever came long before them, and Optuna's time does not grow without an end."""
    weak, strong = climbs(250, score=0.1, first=250), climbs(250, score=0.9)
    assert sampling.draw(500, strong + weak) == sampling.draw(500, weak)
    reports = [0.05 * tenth for tenth in range(1, 6)]
    assert sampling.is_hopeless(reports, weak + strong)
    assert not sampling.is_hopeless(reports, strong + weak)
