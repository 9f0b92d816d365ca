"""The benchmark of a live page: turns with it open and closed, and what is made of them."""

import os
import signal
import time

import pytest

from benchmarks import live
from benchmarks.live import Turn, Turns
from mean_prompt.runs.progress import SearchProgress
from mean_prompt.system.address import Address
from mean_prompt.system.errors import InputError


class Page:
    """A page without a server."""

    address = Address(port=9)

    def begin(self):
        pass


def test_a_page_is_opened_and_closed_in_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "_ASK", "import time; time.sleep(60)")
    sent = []
    kill = os.killpg

    def killpg(pid, number):
        sent.append(number)
        kill(pid, number)

    monkeypatch.setattr(os, "killpg", killpg)
    turns = Turns(Page(), None, 0.2, tmp_path)
    began, done = time.monotonic(), 0
    turns(SearchProgress("embedding", 7, 9, seconds=0.0, remaining=None))
    while time.monotonic() - began < 1.1:
        done = int(1_000 * (time.monotonic() - began))
        turns(SearchProgress("searching", done, None, seconds=0.0, remaining=None))
        time.sleep(0.005)
    taken = turns.end()
    assert len(taken) >= 3
    assert [turn.is_open for turn in taken] == [number % 2 == 0 for number in range(len(taken))]
    assert [turn.rate for turn in taken] == pytest.approx([1_000] * len(taken), rel=0.1)
    assert sent[:3] == [signal.SIGCONT, signal.SIGSTOP, signal.SIGCONT]
    assert sent[-1] == signal.SIGKILL


def test_rates_are_compared_over_all_and_by_pairs():
    rows = [(10.0, 80.0), (10.0, 100.0), (30.0, 120.0), (10.0, 100.0), (10.0, 90.0)]
    found = live._figures([Turn(n % 2 == 0, *row) for n, row in enumerate(rows)])
    assert found["pairs"] == 2
    assert found["evaluations a second"] == {"open": pytest.approx(106.0), "closed": 100.0}
    assert found["ratio"] == pytest.approx(1.06)
    assert found["median ratio of a pair"] == pytest.approx(1.0)
    assert found["seconds open"] == 50.0


def test_a_search_without_two_turns_is_too_short():
    with pytest.raises(InputError, match="must last for two turns and more: give a longer --budge"):
        live._figures([Turn(True, 10.0, 80.0)])
