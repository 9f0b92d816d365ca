"""What a page shows follows the folder, and is made anew no oftener than it must be."""

import json

import pytest

from mean_prompt.report.live import follow
from mean_prompt.report.live.follow import Follower
from mean_prompt.system.errors import InputError
from tests.report.live.conftest import best, read


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = 1_000.0

    def monotonic(self):
        return self.now

    thread_time = monotonic


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(follow, "time", clock)
    return clock


@pytest.fixture
def reads():
    """When the folder was read."""
    return []


@pytest.fixture
def follower(folder, clock, reads):
    def counted(run):
        reads.append(clock.now)
        return read(run)

    return Follower(folder, counted)


def add(folder, text):
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(best(text)) + "\n")


def test_what_is_new_is_shown_a_second_later_at_the_latest(follower, folder, clock, reads):
    first = follower.latest()
    add(folder, "a second string")
    assert follower.latest() == first
    clock.now += 1.0
    second = follower.latest()
    assert "a second string" in second.parts.sections["events"]
    assert second.version != first.version
    assert json.loads(second.data) == {
        "version": second.version,
        "sections": second.parts.sections,
        "figures": second.parts.figures,
    }
    assert len(reads) == 2


def test_where_nothing_is_new_nothing_is_read(follower, clock, reads):
    versions = set()
    for _ in range(5):
        versions.add(follower.latest().version)
        clock.now += 100.0
    assert len(versions) == len(reads) == 1


def test_a_long_reading_takes_a_small_share_while_a_search_works(folder, clock, reads, search_of):
    def slow(run):
        reads.append(clock.now)
        clock.now += 0.2
        return read(run)

    follower = Follower(folder, slow)
    with search_of():
        for number in range(20):
            add(folder, str(number))
            follower.latest()
            clock.now += 1.0
        assert 0.2 / (reads[2] - reads[1]) < 0.04
    clock.now += 15.0
    follower.latest()
    before = len(reads)
    # Nobody computes here any more.
    add(folder, "the last string")
    clock.now += 1.0
    assert "the last string" in follower.latest().parts.sections["events"]
    assert len(reads) == before + 1


def test_the_state_is_told_without_reading_anything(follower, search_of, reads):
    with search_of():
        running = follower.latest()
    interrupted = follower.latest()
    assert 'class="status running"' in running.parts.sections["status"]
    assert 'class="status interrupted"' in interrupted.parts.sections["status"]
    assert running.version != interrupted.version
    assert len(reads) == 1


def test_what_cannot_be_read_leaves_what_was(folder, clock):
    faults = []

    def failing(run):
        if faults:
            raise faults[0]
        return read(run)

    follower = Follower(folder, failing)
    first = follower.latest()
    add(folder, "a second string")
    for fault in (InputError("line 2 is <b>none</b>"), PermissionError(13, "Permission denied")):
        faults[:] = [fault]
        clock.now += 1.0
        sections = follower.latest().parts.sections
        assert sections["events"] == first.parts.sections["events"]
        assert "cannot be read: " in sections["status"]
        assert "<b>" not in sections["status"]
    faults.clear()
    clock.now += 1.0
    sections = follower.latest().parts.sections
    assert "a second string" in sections["events"]
    assert "cannot be read" not in sections["status"]


def test_a_folder_that_is_gone_is_an_error(follower, folder):
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(FileNotFoundError, match="run"):
        follower.latest()
