import threading
import time

import pytest

from mean_prompt.corpus.vectors.lock import held


def test_a_folder_is_held_once(tmp_path):
    with held(tmp_path), pytest.raises(BlockingIOError), held(tmp_path):
        pass
    with held(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_who_waits_gets_it_when_it_is_free(tmp_path):
    order = []

    def hold():
        with held(tmp_path):
            started.set()
            time.sleep(0.3)
            order.append("first")

    started = threading.Event()
    other = threading.Thread(target=hold)
    other.start()
    started.wait()
    with held(tmp_path, wait=True):
        order.append("second")
    other.join()
    assert order == ["first", "second"]


def test_a_folder_that_is_not_there_cannot_be_held(tmp_path):
    with pytest.raises(FileNotFoundError), held(tmp_path / "gone"):
        pass
