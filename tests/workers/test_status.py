"""What status says of a run by one process, which has no registry: its folder tells."""

import json
import os
import time

import pytest
from rich.console import Console

from mean_prompt import Recipe
from mean_prompt.cli.status_display import print_crew
from mean_prompt.optimize.scores import Baseline
from mean_prompt.runs.checkpoint import Checkpoint
from mean_prompt.runs.folder import RunFolder
from mean_prompt.runs.result import SearchResult
from mean_prompt.system.errors import InputError
from mean_prompt.system.locks import FolderLock
from mean_prompt.workers.status import Status, WorkerStatus, find_status

START = {"event": "best", "time": 2.0, "evaluations": 40, "trial": 0, "score": 0.1}
BEST = {
    "event": "best",
    "text": "the best",
    "time": 9.5,
    "evaluations": 300,
    "trial": 2,
    "score": 0.25,
}
CLIMB = {"event": "climb", "time": 10.0, "evaluations": 320, "trial": 2, "score": 0.25}
RECIPE = Recipe().override(search={"budget": "2m", "max_evaluations": 1_000})


@pytest.fixture
def run(tmp_path):
    """The folder of a run that was killed."""
    folder = RunFolder(tmp_path / "run")
    folder.write_recipe(RECIPE)
    for event in (START, BEST, CLIMB):
        folder.log(event)
    folder.write_best("the best \N{PARROT}")
    folder.close()
    return folder.path


def ended(run, *, stopped):
    """Leave the result of a run."""
    result = SearchResult(
        string="the best \N{PARROT}", tokens=3, model_tokens=5, score=0.2, train_score=0.25,
        holdout_score=None, holdout_interval=None, ceiling=0.5, fraction=0.4,
        baselines=(Baseline("best corpus prompt", "text", 0.1),),
        evaluations=320, seconds=10.0, search_seconds=8.0, stopped=stopped,
    )  # fmt: skip
    (run / "result.json").write_text(json.dumps(result.as_dict()))


def test_a_run_that_was_killed_is_lost_and_says_what_it_had(run):
    status = find_status(run, None, None)
    [worker] = status.workers
    assert (worker.state, worker.is_live, status.is_over) == ("lost", False, True)
    assert (worker.climbs, worker.evaluations, worker.rate) == (3, 320, 32.0)
    assert (status.text, status.score) == ("the best \N{PARROT}", 0.25)
    assert (status.elapsed, status.seconds, status.max_evaluations) == (10.0, 120.0, 1_000)
    assert status.title() == "run: 0 of 1 workers live"
    assert status.line() == (
        "320 evaluations of 1,000 in 10s of 2m; best 0.25000 over the training prompts"
    )


def test_a_result_from_before_the_run_went_on_is_not_its_end(run):
    ended(run, stopped=False)
    assert find_status(run, None, None).workers[0].state == "ended"
    Checkpoint(run / "checkpoint.bin").save({"spent": 10.0})
    folder = RunFolder(run, resume=True)
    folder.log({"event": "resume", "number": 1, "time": 12.5, "evaluations": 320})
    folder.close()
    assert find_status(run, None, None).workers[0].state == "lost"


def test_a_run_that_is_worked_on_is_live(run):
    ended(run, stopped=True)  # what an earlier process left
    lock = FolderLock(run)
    try:
        status = find_status(run, None, None)
    finally:
        lock.release()
    assert (status.workers[0].state, status.is_over) == ("climbing", False)
    assert ", 32 a second now" in status.line()
    assert find_status(run, None, None).is_over


@pytest.mark.parametrize(("stopped", "state"), [(False, "ended"), (True, "stopped")])
def test_a_run_that_left_its_result_ended_or_was_stopped(run, stopped, state):
    ended(run, stopped=stopped)
    assert find_status(run, None, None).workers[0].state == state


def test_looking_changes_nothing_even_where_a_line_is_being_written(run):
    events = run / "events.jsonl"
    with events.open("a") as file:
        file.write('{"event": "best", "time": 11')
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert find_status(run, None, None).evaluations == 320
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_run_that_has_found_nothing_yet_says_so(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.write_recipe(RECIPE)
    status = find_status(folder.path, None, None)
    folder.close()
    assert (status.text, status.score, status.evaluations) == (None, None, 0)
    assert (status.workers[0].climbs, status.workers[0].silent) == (0, 0.0)
    assert status.line() == "0 evaluations of 1,000 in 0s of 2m, 0 a second now"


def test_how_long_it_is_silent_is_told(run):
    assert 0.0 <= find_status(run, None, None).workers[0].silent < 60.0
    hour_ago = time.time() - 3_600
    os.utime(run / "events.jsonl", (hour_ago, hour_ago))
    assert find_status(run, None, None).workers[0].silent == pytest.approx(3_600, abs=60)


def test_a_line_that_is_no_event_is_named(run):
    (run / "events.jsonl").write_text("{}\nno event\n{}\n")
    with pytest.raises(InputError, match=r"must be JSON: .*events\.jsonl, line 2 is not; remove"):
        find_status(run, None, None)


def test_a_narrow_terminal_cuts_nothing_short(capsys):
    name = f"{'a-host-with-a-long-name.' * 3}example:4194304"
    row = WorkerStatus(63, name, "climbing", True, 3_599.0, 12_345, 12_345_678, 1_234.0, 0.12345)
    status = Status("study", [row], "the best", 0.12345, 60.0, None, None, is_over=False)
    print_crew(status, Console(width=80))
    said = capsys.readouterr().out
    for cell in ("climbing", "59m59s ago", "12,345", "12,345,678", "1,234", "0.12345"):
        assert f" {cell} " in said, said
    assert "\N{HORIZONTAL ELLIPSIS}" not in said
