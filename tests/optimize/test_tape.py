"""A tape tells again what it heard, in order, and goes on live where it ends."""

import numpy as np
import pytest

from mean_prompt.optimize.tape import FileTape, ReplayError, Tape
from mean_prompt.system.checkpoint import frames
from mean_prompt.system.errors import RunError


class Outside:
    """Answers that are never the same twice."""

    def __init__(self):
        self.asked = 0

    def value(self):
        self.asked += 1
        return self.asked

    def vectors(self):
        self.asked += 1
        return np.full((2, 3), self.asked, np.float32)


def heard(path):
    return [entry for entry, _ in frames(path.read_bytes())]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tape.bin"


@pytest.fixture
def told(path):
    """A tape that heard a value, vectors and a value."""
    outside, tape = Outside(), FileTape(path, [], lambda: 2.5)
    tape.value(outside.value)
    tape.vectors(["a", "b"], outside.vectors)
    tape.value(outside.value)
    tape.close()
    return heard(path)


def test_a_tape_without_a_file_keeps_nothing():
    outside, tape = Outside(), Tape()
    assert [tape.value(outside.value), tape.value(outside.value)] == [1, 2]
    assert tape.vectors(["a", "b"], outside.vectors)[0, 0] == 3
    assert not tape.replaying


def test_it_tells_what_it_heard_and_then_goes_on_live(path, told):
    outside, tape = Outside(), FileTape(path, told, lambda: 9.0)
    assert tape.replaying
    assert tape.value(outside.value) == 1
    again = tape.vectors(["a", "b"], outside.vectors)
    assert again.dtype == np.float32
    assert again.tolist() == [[2, 2, 2]] * 2
    assert tape.value(outside.value) == 3
    assert outside.asked == 0
    assert not tape.replaying
    assert tape.value(outside.value) == 1
    assert outside.asked == 1
    tape.close()
    assert [entry.get("value") for entry in heard(path)] == [1, None, 3, 1]
    assert [entry["at"] for entry in heard(path)] == [2.5, 2.5, 2.5, 9.0]


@pytest.mark.parametrize("ask", ["other strings", "another kind"])
def test_a_search_that_asks_something_else_is_told_so(path, told, ask):
    outside, tape = Outside(), FileTape(path, told, lambda: 0.0)
    tape.value(outside.value)
    asks = {
        "other strings": lambda: tape.vectors(["a", "c"], outside.vectors),
        "another kind": lambda: tape.value(outside.value),
    }
    with pytest.raises(ReplayError):
        asks[ask]()
    tape.close()


def test_forgetting_empties_the_file(path, told):
    outside, tape = Outside(), FileTape(path, told, lambda: 0.0)
    tape.value(outside.value)
    tape.forget()
    assert not tape.replaying
    assert tape.value(outside.value) == 1
    tape.close()
    assert [entry["value"] for entry in heard(path)] == [1]


def test_it_goes_over_to_another_file(path, tmp_path):
    outside, tape = Outside(), FileTape(path, [], lambda: 0.0)
    tape.value(outside.value)
    tape.restart(tmp_path / "next.bin")
    tape.value(outside.value)
    tape.close()
    assert [entry["value"] for entry in heard(path)] == [1]
    assert [entry["value"] for entry in heard(tmp_path / "next.bin")] == [2]


def test_a_file_that_cannot_be_made_is_a_failed_run(tmp_path):
    with pytest.raises(RunError, match=r"stay writable: .*none/tape\.bin: No such file"):
        FileTape(tmp_path / "none" / "tape.bin", [], lambda: 0.0)
