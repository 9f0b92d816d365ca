"""Climbs that wait: whole, in order, and gone once they were handed in."""

from pathlib import Path

import pytest

from mean_prompt.system.errors import InputError, RunError
from mean_prompt.workers import spool as module
from mean_prompt.workers.spool import Spool
from tests.workers.records import climb


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "worker" / "spool")


def test_climbs_wait_in_their_order(spool):
    for number in (11, 2, 0):
        spool.put(climb(number))
    assert [record.number for record in spool.waiting()] == [0, 2, 11]
    assert next(spool.waiting()) == climb(0)
    assert len(spool) == 3


def test_the_same_climb_waits_once(spool):
    spool.put(climb())
    spool.put(climb())
    assert len(spool) == 1


def test_what_was_handed_in_waits_no_more(spool, tmp_path):
    for number in (0, 1):
        spool.put(climb(number))
    spool.drop(climb(0))
    spool.drop(climb(0))
    assert list(Spool(tmp_path / "worker" / "spool").waiting()) == [climb(1)]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"worker": 1}'])
def test_a_damaged_one_is_named(spool, tmp_path, content):
    path = tmp_path / "worker" / "spool" / "climb-000004.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"must be whole: .*climb-000004\.json is damaged; delete"):
        list(spool.waiting())


def test_a_disk_that_is_full_is_said(spool, monkeypatch):
    spool.put(climb())

    def full(_path, _data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_atomically", full)
    with pytest.raises(RunError, match=r"climb-000001\.json: No space left on device; what was"):
        spool.put(climb(1))
    assert list(spool.waiting()) == [climb()]


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match=r"must stay writable: .*file"):
        Spool(Path(tmp_path / "file" / "spool"))
