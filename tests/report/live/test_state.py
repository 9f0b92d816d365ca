"""How a search is, as its folder tells it; and until when its server is needed."""

import os

import pytest

from mean_prompt.report.live import state
from mean_prompt.report.live.place import held_place
from mean_prompt.report.live.state import Need, run_state
from mean_prompt.runs.folder import RunFolder
from mean_prompt.system import locks
from mean_prompt.system.address import Address


def result_at(folder, seconds):
    """Write a result so many seconds after the last event."""
    (folder / "result.json").write_text("{}")
    events = (folder / "events.jsonl").stat().st_mtime
    os.utime(folder / "result.json", (events + seconds, events + seconds))


def test_a_search_that_works_is_running(folder, search_of):
    result_at(folder, 1)
    (folder / "snapshots").mkdir()
    with search_of():
        assert run_state(folder) == "running"
    assert run_state(folder) == "ended"


def test_without_a_newer_result_it_was_interrupted(folder):
    assert run_state(folder) == "interrupted"
    result_at(folder, -1)
    assert run_state(folder) == "interrupted"
    result_at(folder, 1)
    assert run_state(folder) == "ended"


def test_a_run_without_events_has_ended_when_it_has_a_result(folder):
    result_at(folder, 0)
    (folder / "events.jsonl").unlink()
    assert run_state(folder) == "ended"


def test_looking_keeps_no_search_out(folder, monkeypatch):
    """A look holds the folder for an instant; a search that begins just then waits for it."""
    handle = locks._held(folder)
    monkeypatch.setattr(locks.time, "sleep", lambda _seconds: os.close(handle))
    RunFolder(folder, resume=True).close()


class Clock:
    """A clock that stands until it is moved."""

    now = 1_000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(state, "time", clock)
    return clock


@pytest.fixture
def need(folder, clock):  # noqa: ARG001 - stands from the beginning
    with held_place(folder, Address()):
        yield Need(folder, grace=300.0)


def test_it_is_needed_while_the_search_works_and_for_a_grace(need, clock, search_of):
    long_ago = 0.0
    with search_of():
        clock.now += 400.0
        assert need(long_ago)
    clock.now += 299.0
    assert need(long_ago)
    clock.now += 1.0
    assert not need(long_ago)


def test_it_is_needed_while_it_is_asked_for(need, clock):
    clock.now += 400.0
    assert need(clock.now - 299.0)
    assert not need(clock.now - 300.0)


def test_it_is_needed_by_a_search_that_goes_on(need, clock, search_of):
    clock.now += 400.0
    with search_of():
        assert need(0.0)


def test_it_is_not_needed_without_the_run_s_folder(need, clock, folder, search_of):
    with search_of():
        folder.rename(folder.with_name("elsewhere"))
        assert not need(clock.now)
        folder.mkdir()
        assert not need(clock.now)
        (folder / "live").mkdir()
        assert not need(clock.now)
