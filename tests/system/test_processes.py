"""Members in processes of this machine: they compute, die, freeze, and end with the driver."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mean_prompt.system.errors import InputError
from mean_prompt.system.processes import Processes, start_method
from mean_prompt.system.team import Team

METHODS = ["spawn", *(["fork"] if sys.platform == "linux" else [])]


class Worker:
    """What members call; the test's process may import it, and so may they."""

    def __init__(self, payload=b""):
        self.payload = payload
        self.calls = 0

    def add(self, first, second):
        self.calls += 1
        return first + second, self.calls, os.getpid()

    def sleep(self, seconds):
        time.sleep(seconds)

    def refuse(self):
        raise InputError("a worker must not do this: found this; do that")

    def threads(self):
        import torch

        return torch.get_num_threads(), os.environ["TOKENIZERS_PARALLELISM"]


def is_alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_until(holds, seconds=10.0):
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def answers(team, count, timeout=20.0):
    found, until = [], time.monotonic() + timeout
    while len(found) < count:
        assert time.monotonic() < until
        found += team.replies(0.1)
    return sorted(found, key=lambda reply: reply.member)


@pytest.fixture(params=METHODS)
def team(request):
    team = Team(Processes(request.param), 2)
    team.give("worker", Worker())
    yield team
    team.close()


def pids(team):
    for number in range(team.size):
        team.call(number, "worker", "add", 0, number)
    return [reply.value[2] for reply in answers(team, team.size)]


def first_is_lost_and_replaced(team, victim, other, timeout):
    """Check that a new process takes the place of the killed one, and the other one stays."""
    [reply] = answers(team, 1, timeout)
    assert (reply.member, reply.lost) == (0, "died")
    team.replace(0)
    value, calls, pid = team.ask(0, "worker", "add", 4, 5)
    assert (value, calls) == (9, 1)
    assert pid not in {victim, other}
    assert team.ask(1, "worker", "add", 0, 0)[2] == other


def test_each_member_has_a_process_of_one_thread_and_a_copy_of_the_object(team):
    for number in (0, 1):
        team.call(number, "worker", "add", number, 10)
    first, second = answers(team, 2)
    assert [first.value[:2], second.value[:2]] == [(10, 1), (11, 1)]
    assert len({first.value[2], second.value[2], os.getpid()}) == 3
    assert team.ask(0, "worker", "threads") == (1, "false")
    assert team.ask(0, "worker", "add", 1, 1)[1] == 2


def test_what_a_method_raises_is_raised_here_and_the_member_goes_on(team):
    team.call(0, "worker", "refuse")
    with pytest.raises(InputError, match="a worker must not do this"):
        answers(team, 1)
    assert team.ask(0, "worker", "add", 2, 3)[0] == 5


def test_a_killed_member_is_lost_at_once_and_replaced(team):
    victim, other = pids(team)
    team.call(0, "worker", "sleep", 60.0)
    os.kill(victim, signal.SIGKILL)
    first_is_lost_and_replaced(team, victim, other, timeout=5.0)


def test_a_frozen_member_is_lost_when_it_is_late_and_killed(team, monkeypatch):
    monkeypatch.setattr("mean_prompt.system.team.PATIENCE", 0.3)
    victim, _ = pids(team)
    os.kill(victim, signal.SIGSTOP)
    team.call(0, "worker", "add", 1, 1, seconds=0.1)
    [reply] = answers(team, 1, timeout=10.0)
    assert reply.lost == "does not answer"
    team.replace(0)
    assert team.ask(0, "worker", "add", 1, 1)[0] == 2
    wait_until(lambda: not is_alive(victim))


def test_an_object_given_later_reaches_all_members_and_shares_what_was_given_before(team):
    before = set(pids(team))
    team.give("more", Worker(b"x" * 100))
    assert team.ask(1, "more", "add", 1, 1)[0] == 2
    wait_until(lambda: not any(map(is_alive, before)))


def test_closing_ends_all_members(team):
    members = pids(team)
    team.close()
    wait_until(lambda: not any(map(is_alive, members)), 1.0)
    team.close()  # a second time nothing happens


def test_an_object_that_cannot_be_unpacked_is_an_error_here():
    team = Team(Processes("spawn"), 1)
    try:
        team.give("broken", Broken())
        with pytest.raises(ModuleNotFoundError, match="no_such_module"):
            team.ask(0, "broken", "anything")
    finally:
        team.close()


class Broken:
    def __reduce__(self):
        return __import__, ("os",)

    def __reduce_ex__(self, _protocol):
        return _import_missing, ()


def _import_missing():
    return __import__("no_such_module")


DRIVER = """
import time
from mean_prompt.system.processes import Processes
from mean_prompt.system.team import Team
from tests.system.test_processes import Worker
if __name__ == "__main__":
    team = Team(Processes("{method}"), 2)
    team.give("worker", Worker())
    for number in (0, 1):
        print(team.ask(number, "worker", "add", 0, 0)[2], flush=True)
        team.call(number, "worker", "sleep", 600.0)
    time.sleep(600)
"""


@pytest.mark.parametrize("method", METHODS)
def test_a_driver_that_is_killed_takes_all_its_processes_with_it(method):
    program = [sys.executable, "-c", DRIVER.format(method=method)]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as driver:
        pids = [int(driver.stdout.readline()) for _ in range(2)]
        assert all(map(is_alive, pids))
        driver.kill()
    wait_until(lambda: not any(map(is_alive, pids)), 1.0)


def test_processes_are_forked_only_where_that_is_safe(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    assert [start_method(device) for device in ("cpu", "cuda")] == ["fork", "spawn"]
    monkeypatch.setattr("sys.platform", "darwin")
    assert start_method("cpu") == "spawn"
