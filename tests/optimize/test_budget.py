import pytest

from mean_prompt.optimize.budget import Budget


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_budget_without_a_limit_is_refused():
    with pytest.raises(ValueError, match="seconds, evaluations, or both"):
        Budget()


def test_time_counts_from_the_start_given_and_leaves_room_for_closing():
    clock = Clock()
    budget = Budget(60.0, clock=clock, started=90.0)
    assert budget.elapsed == 10.0
    assert budget.remaining == 50.0
    clock.now = 147.0
    assert not budget.expired()
    clock.now = 148.0  # two seconds before the end: the last files are still to be written
    assert budget.expired()
    clock.now = 200.0
    assert budget.remaining == 0.0


def test_evaluations_alone_do_not_depend_on_the_clock():
    clock = Clock()
    budget = Budget(None, 10, clock=clock)
    budget.spend(4)
    clock.now += 1e6
    assert budget.fraction() == 0.4
    assert budget.remaining is None
    budget.spend(6)
    assert budget.expired()


def test_the_limit_reached_first_or_a_stop_ends_it():
    clock = Clock()
    budget = Budget(100.0, 10, clock=clock)
    budget.spend(5)
    assert budget.fraction() == 0.5
    clock.now += 80
    assert 0.8 < budget.fraction() < 1.0
    budget.stop()
    assert budget.expired()
    assert budget.stopped
