"""Climbers in processes of their own: they are lost, replaced, and end with their driver."""

import multiprocessing
import os
import signal
import time

import psutil
import pytest

from benchmarks.grammar import generate
from mean_prompt import Corpus, search
from mean_prompt.runs import climbers
from mean_prompt.runs.climbers import fitting
from mean_prompt.runs.status import RunStatus
from mean_prompt.system import team as team_module
from tests.processes import Command

PROMPTS = [row["prompt"] for row in generate(60, seed=5)]


@pytest.fixture(autouse=True)
def without_pages(monkeypatch):
    """Leave the pages out, which take longer than the search."""
    for name in ("write_analysis", "write_report"):
        monkeypatch.setattr(f"mean_prompt.api.{name}", lambda *_: None)
    monkeypatch.setattr("mean_prompt.api.CorpusSpace.of_problem", lambda *_: None)


def is_alive(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_climbers_that_die_or_freeze_are_replaced_and_the_run_ends(tiny_t5, tmp_path, monkeypatch):
    monkeypatch.setattr(team_module, "PATIENCE", 1.0)
    strikes = [signal.SIGSTOP, signal.SIGKILL]
    hit, lost, ended = [], [], []

    def disturb(progress):
        lost.extend(note for note in progress.notes if "another one continues its climb" in note)
        if progress.phase != "searching" or progress.done < 100 or len(lost) < len(hit):
            return  # a strike at a time
        if strikes:
            hit.append(psutil.Process(multiprocessing.active_children()[0].pid))
            os.kill(hit[-1].pid, strikes.pop())
        elif not ended:
            ended.append(os.kill(os.getpid(), signal.SIGINT))

    found = search(
        Corpus.from_prompts(PROMPTS),
        model=tiny_t5,
        out=tmp_path / "run",
        workers=2,
        budget="90s",
        max_tokens=8,
        listener=disturb,
    )
    assert ["died" in note for note in lost] == [True, False]
    assert found.stopped
    assert found.details["workers"] == 2
    assert (found.out / "best.txt").read_text("utf-8") == found.string
    psutil.wait_procs(hit, timeout=5.0)
    assert not any(map(is_alive, hit))


def test_a_driver_that_is_killed_leaves_no_process_and_its_run_is_resumed(tiny_t5_folder, tmp_path):
    corpus, out = tmp_path / "prompts.txt", tmp_path / "run"
    corpus.write_text("\n".join(PROMPTS))
    asked = ["--model", tiny_t5_folder, "--max-tokens", 8, "--workers", 2, "-q"]
    begun = ["search", corpus, "--budget", "5m", "--out", out, *asked]
    driver = Command(begun, log=tmp_path / "log", folder=tmp_path)
    process = psutil.Process(driver.pid)
    until = time.monotonic() + 90.0
    while not (out / "checkpoint.bin").exists() or len(process.children()) < 2:
        assert time.monotonic() < until, driver.log.read_text()
        time.sleep(0.1)
    time.sleep(1.0)
    others = process.children(recursive=True)
    assert (out / "best.txt").read_text("utf-8")
    driver.kill()
    psutil.wait_procs(others, timeout=1.0)
    assert not any(map(is_alive, others))
    spent = RunStatus.read(out).seconds
    resumed = ["search", "--resume", out, "--budget", f"{spent + 15:.0f}s", *asked[4:]]
    again = Command(resumed, log=tmp_path / "again", folder=tmp_path)
    assert again.wait(90.0) == 0, again.log.read_text()
    assert again.log.read_text().strip().endswith((out / "best.txt").read_text("utf-8"))
    assert RunStatus.read(out).state == "finished"


def test_as_many_climbers_begin_as_fit_in_memory(monkeypatch):
    monkeypatch.setattr(climbers, "cores", lambda: 8)
    monkeypatch.setattr(climbers, "available_memory", lambda: None)
    assert fitting(None, "cpu") == (8, None)
    assert fitting(None, "cuda") == (1, None)
    assert fitting(3, "cuda") == (3, None)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(climbers, "available_memory", lambda: 2_001 * 2**20)
    assert fitting(5, "cpu") == (5, None)
    assert fitting(6, "cpu") == (
        5,
        "5 climbers in place of 6: one takes 400 MiB, and 2,001 MiB are free",
    )
    monkeypatch.setattr("sys.platform", "darwin")
    assert fitting(2, "cpu") == (
        1,
        "1 climbers in place of 2: one takes 1,200 MiB, and 2,001 MiB are free",
    )
    monkeypatch.setattr(climbers, "available_memory", lambda: 0)
    assert fitting(6, "cpu")[0] == 1
