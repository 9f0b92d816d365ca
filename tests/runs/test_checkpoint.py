"""The file of a search's state: whole or not there, and written seldom enough to cost little."""

import json

import pytest

from mean_prompt.runs import checkpoint as module
from mean_prompt.runs.checkpoint import Checkpoint, Resumer
from mean_prompt.system.errors import InputError
from mean_prompt.system.files import write_atomically


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.bin"


def test_the_last_state_is_found(path):
    assert Checkpoint(path).saved is None
    assert Checkpoint(path).spent == 0.0
    for number in range(2):
        Checkpoint(path).save({"spent": 3.0, "number": number})
    found = Checkpoint(path)
    assert (found.saved["number"], found.spent) == (1, 3.0)
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint.bin"]


def test_a_damaged_one_is_refused(path):
    Checkpoint(path).save({"spent": 3.0})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"checkpoint\.bin is damaged; begin a new run"):
        Checkpoint(path)


def test_saving_takes_a_small_share_of_the_time(path, monkeypatch):
    clock = type("Clock", (), {"now": 0.0, "monotonic": lambda self: self.now})()
    monkeypatch.setattr(module, "time", clock)
    checkpoint = Checkpoint(path)
    assert not checkpoint.is_due()
    clock.now += module._LEAST_PAUSE
    assert checkpoint.is_due()

    def slow(path, data):
        clock.now += 2.0
        write_atomically(path, data)

    monkeypatch.setattr(module, "write_atomically", slow)
    checkpoint.save({"spent": 0.0})
    clock.now += 2.0 / module._SHARE - 0.1
    assert not checkpoint.is_due()
    clock.now += 0.2
    assert checkpoint.is_due()


def test_nothing_of_it_is_pickled(path):
    Checkpoint(path).save({"spent": 1.0})
    data = path.read_bytes()
    header = json.loads(data[20 : 20 + int.from_bytes(data[12:20], "little")])
    assert json.loads(header["__metadata__"]["plain"]) == {"layout": 2, "spent": 1.0}


def test_a_search_without_a_folder_saves_nothing():
    resumer = Resumer(None, budget=None, identity={})
    assert (resumer.state, resumer.notes()) == (None, [])
    steps = resumer.steps(
        lambda: iter([1, 2]), lambda: pytest.fail("a state was asked for"), lambda _: None
    )
    assert list(steps) == [1, 2]


def test_a_checkpoint_of_another_version_is_refused(path, monkeypatch):
    monkeypatch.setattr(module, "_LAYOUT", 1)
    Checkpoint(path).save({"spent": 1.0})
    monkeypatch.undo()
    with pytest.raises(InputError, match="is of another one; install that version"):
        Checkpoint(path)
