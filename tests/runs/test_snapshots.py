"""Snapshots: the newest whole one counts, with the tape that came after it."""

import json

import pytest

from mean_prompt.runs import snapshots as module
from mean_prompt.runs.snapshots import Snapshots
from mean_prompt.system.errors import InputError, RunError
from mean_prompt.system.files import write_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "snapshots"


def keep(folder, *, values=(), spent=1.0):
    """Take one more snapshot, and hear some values after it."""
    snapshots = Snapshots(folder)
    tape = snapshots.tape(lambda: spent + 0.5)
    snapshots.keep({"spent": spent, "number": len(values)}, tape)
    for value in values:
        tape.value(lambda value=value: value)
    snapshots.close()
    return snapshots


def test_there_is_none_at_first(folder):
    snapshots = Snapshots(folder)
    assert snapshots.state is None
    assert (snapshots.spent, snapshots.entries, snapshots.evaluations) == (0.0, [], 0)


def test_the_last_one_is_found_with_what_was_heard_since(folder):
    keep(folder, values=["old"])
    keep(folder, values=["new", "newer"], spent=3.0)
    found = Snapshots(folder)
    assert found.state == {"spent": 3.0, "number": 2}
    assert [entry["value"] for entry in found.entries] == ["new", "newer"]
    assert found.spent == 3.5
    assert names(folder) == ["state-000002.bin", "tape-000002.bin"]


def test_a_tape_of_a_process_that_took_no_snapshot_does_not_count(folder):
    snapshots = Snapshots(folder)
    snapshots.tape(lambda: 1.0).value(lambda: "lost")
    snapshots.close()
    assert Snapshots(folder).entries == []


def test_a_torn_end_of_the_tape_is_cut_off(folder):
    keep(folder, values=["whole", "torn"])
    path = folder / "tape-000001.bin"
    path.write_bytes(path.read_bytes()[:-3])
    snapshots = Snapshots(folder)
    assert [entry["value"] for entry in snapshots.entries] == ["whole"]
    tape = snapshots.tape(lambda: 2.0)
    assert tape.value(lambda: "none") == "whole"
    assert tape.value(lambda: "next") == "next"
    snapshots.close()
    assert [entry["value"] for entry in Snapshots(folder).entries] == ["whole", "next"]


def test_a_kill_between_a_snapshot_and_its_tape_loses_nothing(folder):
    keep(folder, values=["in the new state already"])
    old = (folder / "tape-000001.bin").read_bytes()
    keep(folder)
    (folder / "tape-000002.bin").unlink()
    (folder / "tape-000001.bin").write_bytes(old)
    found = Snapshots(folder)
    assert found.state["number"] == 0
    assert found.entries == []


def test_a_damaged_snapshot_is_refused(folder):
    keep(folder)
    path = folder / "state-000001.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"state-000001\.bin is damaged; begin a new run"):
        Snapshots(folder)


def test_a_disk_that_is_full_leaves_the_last_snapshot_and_its_tape(folder, monkeypatch):
    keep(folder, values=["heard"])
    snapshots = Snapshots(folder)
    tape = snapshots.tape(lambda: 9.0)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(_path, _data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_atomically", full)
    with pytest.raises(RunError, match=r"state-000002\.bin: No space left on device; what was"):
        snapshots.keep({"spent": 9.0}, tape)
    snapshots.close()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    monkeypatch.setattr(module, "write_atomically", write_atomically)
    assert Snapshots(folder).state["number"] == 1


def test_they_are_taken_seldom_enough_to_cost_little(folder, monkeypatch):
    clock = type("Clock", (), {"now": 0.0, "monotonic": lambda self: self.now})()
    monkeypatch.setattr(module, "time", clock)
    snapshots = Snapshots(folder)
    tape = snapshots.tape(lambda: 0.0)
    assert not snapshots.is_due()
    clock.now += module._LEAST_PAUSE
    assert snapshots.is_due()

    def slow(path, data):
        clock.now += 2.0
        write_atomically(path, data)

    monkeypatch.setattr(module, "write_atomically", slow)
    snapshots.keep({"spent": 0.0}, tape)
    snapshots.close()
    clock.now += 2.0 / module._SHARE - 0.1
    assert not snapshots.is_due()
    clock.now += 0.2
    assert snapshots.is_due()


def test_nothing_of_it_is_pickled(folder):
    keep(folder, values=[{"text": "plain"}])
    data = (folder / "state-000001.bin").read_bytes()
    header = json.loads(data[20 : 20 + int.from_bytes(data[12:20], "little")])
    assert json.loads(header["__metadata__"]["plain"])["spent"] == 1.0
