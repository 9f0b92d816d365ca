"""A time limit that work asks before each step."""

import math
import signal

import pytest

from mean_prompt.system.deadline import Deadline, OutOfTimeError
from mean_prompt.system.signals import stopping


class Clock:
    """A clock that stands still until it is moved."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_it_expires_at_its_limit_and_says_what_is_left(clock):
    deadline = Deadline(10, clock=clock)
    clock.now += 4
    assert (deadline.elapsed, deadline.remaining, deadline.expired) == (4, 6, False)
    deadline.check()
    clock.now += 6
    assert (deadline.remaining, deadline.expired, deadline.stopped) == (0, True, False)
    with pytest.raises(OutOfTimeError):
        deadline.check()
    assert Deadline(10, started=clock.now - 7, clock=clock).remaining == 3


def test_without_a_limit_only_a_stop_ends_it():
    deadline = Deadline()
    assert deadline.remaining == deadline.share(0.5).remaining == math.inf
    assert not deadline.expired
    deadline.stop()
    assert deadline.expired


def test_a_share_is_of_the_time_that_is_left(clock):
    deadline = Deadline(10, clock=clock)
    clock.now += 2
    share = deadline.share(0.25)
    assert share.remaining == 2
    clock.now += 2
    assert share.expired
    assert not deadline.expired


@pytest.mark.parametrize("fraction", [0.5, 2.0])
def test_a_share_ends_with_the_whole(clock, fraction):
    deadline = Deadline(10, clock=clock)
    share = deadline.share(fraction)
    deadline.stop()
    assert share.expired
    assert share.stopped


def test_the_first_signal_stops_it_and_the_second_has_its_usual_effect():
    deadline = Deadline()
    with stopping(deadline):
        signal.raise_signal(signal.SIGINT)
        assert deadline.stopped
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
