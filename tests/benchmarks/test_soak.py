"""What the soak reports of the memory that it measured; the soak itself takes an hour."""

import json
import sys

import pytest
import typer

from benchmarks import soak as module
from benchmarks.soak import Watcher, resident_mib, summary
from mean_prompt.runs.progress import SearchProgress


def progress(phase):
    return SearchProgress(phase, 1, None, seconds=1.0, remaining=None)


def test_memory_is_looked_at_every_so_many_steps_of_the_search(monkeypatch):
    used = iter([100.0, 101.0])
    monkeypatch.setattr(module, "resident_mib", lambda: next(used))
    watcher = Watcher(125, {})
    watcher(progress("embedding"))
    for _ in range(124):
        watcher(progress("searching"))
    with pytest.raises(KeyboardInterrupt):  # outside of a search, which would catch the signal
        watcher(progress("searching"))
    assert watcher.memory == {50: 100.0, 100: 101.0}
    assert watcher.taken == 125


def test_growth_is_measured_from_the_end_of_the_warm_up():
    found = summary({50: 10.0, 100: 200.0, 150: 210.0, 200: 190.0}, warm_up=100)
    assert found["MiB after the warm-up"] == 200.0
    assert found["most MiB afterwards"] == 210.0
    assert found["growth"] == pytest.approx(0.05)
    assert found["MiB by step"] == {"50": 10.0, "100": 200.0, "150": 210.0, "200": 190.0}
    assert json.loads(json.dumps(found)) == found
    assert summary({100: 200.0, 150: 190.0}, warm_up=100)["growth"] == 0.0


def test_memory_that_falls_has_not_grown():
    assert summary({100: 200.0, 150: 190.0}, warm_up=100)["growth"] == 0.0


@pytest.mark.parametrize(("steps", "warm_up"), [(1_000, 2_000), (149, 101)])
def test_a_warm_up_that_nothing_comes_after_is_refused_at_once(tmp_path, steps, warm_up):
    with pytest.raises(typer.BadParameter, match=f"found {steps} and {warm_up}; give more steps"):
        module.main(tmp_path / "soak.json", steps=steps, warm_up=warm_up)
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports it")
def test_the_memory_of_this_process_is_some():
    assert 20 < resident_mib() < 100_000
