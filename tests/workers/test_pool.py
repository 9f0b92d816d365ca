"""Workers' processes: begun, begun again where they die, ended, and never left behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

from mean_prompt.system.errors import InputError, RunError
from mean_prompt.workers import pool as module
from mean_prompt.workers.pool import Pool, available_cores
from mean_prompt.workers.storage_url import StorageURL

#: Programs that stand in for workers.
WAIT = "import time; print('ready', flush=True); time.sleep(60)"
SAVE = (
    "import signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), sys.exit(0)))\n"
    "print('ready', flush=True); time.sleep(60)"
)


@pytest.fixture
def make_pool(tmp_path, monkeypatch):
    pools = []

    def make(program, *, count=2):
        command = [sys.executable, "-c", program]
        monkeypatch.setattr(Pool, "_command", lambda _self, _folder: command)
        pool = Pool(tmp_path, StorageURL.of_file(tmp_path / "study.db"), "study", count)
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        for member in pool._members:
            member.process.kill()
        list(pool.end(5.0))


def said(folder, number, text):
    """Wait until a worker's log holds a text."""
    path = folder / str(number) / "log.txt"
    deadline = time.monotonic() + 20
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


def tended(pool, until, *, seconds=20.0):
    """Tend a pool until something was said of it; return all that was."""
    notes, deadline = [], time.monotonic() + seconds
    while not any(until in note for note in notes):
        assert time.monotonic() < deadline, notes
        notes += pool.tend()
        time.sleep(0.02)
    return notes


def test_workers_are_told_where_the_study_is_and_share_the_cores(make_pool, tmp_path):
    program = (
        "import os; print(os.environ['MEAN_PROMPT_STORAGE'], os.environ['OMP_NUM_THREADS'], "
        "os.getsid(0) == os.getpid(), flush=True)"
    )
    pool = make_pool(program)
    said(tmp_path, 1, "study.db")
    url, threads, apart = (tmp_path / "1" / "log.txt").read_text().split()
    assert url == f"sqlite:///{tmp_path / 'study.db'}"
    assert int(threads) == max(1, available_cores() // 2)
    assert apart == "True"
    list(pool.end(20.0))
    assert pool.are_done()


def test_the_storage_stands_in_no_command_line(tmp_path):
    url = StorageURL.parse("postgresql://me:geheim@127.0.0.1:1/none")
    pool = object.__new__(Pool)
    pool._url, pool._study, pool._threads, pool._trust = url, "study", 1, True
    assert not any("geheim" in word for word in pool._command(tmp_path))
    assert "geheim" in pool._environment()["MEAN_PROMPT_STORAGE"]


def test_a_worker_that_is_killed_is_begun_again(make_pool, tmp_path):
    pool = make_pool(WAIT)
    said(tmp_path, 0, "ready")
    first = pool._members[0].process.pid
    os.kill(first, signal.SIGKILL)
    notes = tended(pool, "started again")
    assert notes == ["worker 0 died and is started again: signal 9"]
    assert pool._members[0].process.pid != first
    assert pool._members[0].process.poll() is None


def test_a_worker_that_dies_again_and_again_is_given_up_and_all_of_them_end_the_run(make_pool):
    pool = make_pool("import sys; print('no memory'); sys.exit(7)", count=1)
    with pytest.raises(RunError, match="no worker is left: no memory; see"):
        tended(pool, "never said")


def test_a_death_after_long_work_counts_anew(make_pool, monkeypatch):
    monkeypatch.setattr(module, "_QUICK", 0.0)
    pool = make_pool("import sys; print('late'); sys.exit(7)", count=1)
    for _ in range(module._MOST_DEATHS + 2):
        tended(pool, "started again: exit code 7: late")
    assert not pool._members[0].is_given_up


def test_a_worker_that_cannot_work_ends_the_run_with_its_words(make_pool):
    pool = make_pool("import sys; print('mean-prompt: a corpus must be there'); sys.exit(2)")
    with pytest.raises(InputError, match=r"^a corpus must be there$"):
        tended(pool, "never said")


def test_workers_that_ended_are_left_alone(make_pool):
    pool = make_pool("print('done')")
    deadline = time.monotonic() + 20
    while not pool.are_done():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert list(pool.tend()) == []


def test_workers_have_time_to_save(make_pool, tmp_path):
    pool = make_pool(SAVE)
    for number in (0, 1):
        said(tmp_path, number, "ready")
    pool.ask_to_end()
    assert list(pool.end(20.0)) == []
    assert [(tmp_path / str(n) / "log.txt").read_text().split()[-1] for n in (0, 1)] == [
        "saved"
    ] * 2


def test_a_worker_that_does_not_end_is_killed_even_where_it_is_paused(make_pool, tmp_path):
    pool = make_pool(SAVE)
    said(tmp_path, 0, "ready")
    said(tmp_path, 1, "ready")
    paused = pool._members[1].process
    os.kill(paused.pid, signal.SIGSTOP)
    pool.ask_to_end()
    notes = list(pool.end(1.0))
    assert len(notes) == 1
    assert notes[0].startswith("worker 1 did not end and was killed")
    assert paused.returncode == -signal.SIGKILL


def test_a_dead_parents_workers_see_the_end_of_their_input(tmp_path):
    """The parent is killed; its worker reads the end of its input, and ends."""
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from mean_prompt.workers.storage_url import StorageURL\n"
        "from mean_prompt.workers.pool import Pool\n"
        'child = \'import os; print("ready", flush=True); os.read(0, 1); print("ended")\'\n'
        "Pool._command = lambda *_: [sys.executable, '-c', child]\n"
        f"pool = Pool(Path({str(tmp_path)!r}), StorageURL.of_file(Path({str(tmp_path)!r}) / 's.db')"
        ", 'study', 1)\n"
        "print('up', flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout.readline() == b"up\n"
    said(tmp_path, 0, "ready")
    parent.kill()
    parent.communicate()
    said(tmp_path, 0, "ended")
