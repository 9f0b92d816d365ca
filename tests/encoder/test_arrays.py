"""Arrays in the cache: computed once, made anew where torn, and refused in one line."""

import numpy as np
import pytest

from mean_prompt.encoder.arrays import cached_arrays
from mean_prompt.system.errors import InputError
from mean_prompt.system.files import write_atomically

#: Twelve of them: names that sort as text must keep the order of numbers.
MADE = [np.full((2, number + 1), number, np.float32) for number in range(12)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(tmp_path))
    return tmp_path


def same(arrays):
    return len(arrays) == len(MADE) and all(map(np.array_equal, arrays, MADE))


def never():
    raise AssertionError("computed again")


def test_arrays_are_computed_once_and_keep_their_order():
    assert same(cached_arrays("some", lambda: MADE))
    assert same(cached_arrays("some", never))
    with pytest.raises(AssertionError, match="computed again"):
        cached_arrays("other", never)


def test_a_view_is_kept_as_what_it_shows():
    view = np.arange(6, dtype=np.float32).reshape(2, 3).T
    cached_arrays("view", lambda: [view])
    np.testing.assert_array_equal(cached_arrays("view", never)[0], view)


@pytest.mark.parametrize("left", [0, 5, 200])
def test_a_torn_file_is_made_anew(cache, left):
    cached_arrays("some", lambda: MADE)
    [file] = (cache / "arrays").iterdir()
    file.write_bytes(file.read_bytes()[:left])
    assert same(cached_arrays("some", lambda: MADE))
    assert same(cached_arrays("some", never))


def test_a_cache_that_cannot_be_written_is_named(cache):
    (cache / "arrays").write_text("no folder")
    with pytest.raises(
        InputError, match=r"must be readable and writable: .*/some.*CACHE to a fold"
    ):
        cached_arrays("some", lambda: MADE)


def test_a_cache_that_cannot_be_read_is_named(cache):
    (cache / "arrays" / "some.safetensors").mkdir(parents=True)
    with pytest.raises(InputError, match=r"readable and writable: .*/some.*: Is a directory; set"):
        cached_arrays("some", lambda: MADE)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    target = tmp_path / "file"
    write_atomically(target, b"old")
    assert target.stat().st_mode & 0o777 == 0o644

    def full(_handle):
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
