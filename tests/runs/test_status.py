"""How a run is, read from its folder alone."""

import json
import os
import re
import time

import pytest

from mean_prompt import Recipe
from mean_prompt.optimize.scores import Baseline
from mean_prompt.runs.folder import RunFolder
from mean_prompt.runs.result import SearchResult
from mean_prompt.runs.status import RunningClimb, RunStatus
from mean_prompt.system.errors import InputError
from mean_prompt.system.locks import FolderLock

START = {"event": "best", "text": "a", "time": 2.0, "evaluations": 40, "trial": 0}
BEST = {"event": "best", "text": "the best", "time": 9.5, "evaluations": 300, "trial": 2}
CLIMB = {"event": "climb", "time": 10.0, "evaluations": 320, "trial": 2}
AT = {"time": 9.6, "evaluations": 310, "score": 0.2, "text": "another"}
SCORES = {"score": 0.25, "fraction": 0.5}


@pytest.fixture
def run(tmp_path):
    """The folder of a run that was killed."""
    folder = RunFolder(tmp_path / "run")
    folder.write_recipe(Recipe().override(search={"budget": "2m"}))
    for event in (START, BEST, CLIMB):
        folder.log(event | SCORES)
    folder.close()
    return folder.path


def write_result(run, *, stopped=False):
    result = SearchResult(
        string="the best \N{PARROT}", tokens=3, model_tokens=5, score=0.2, train_score=0.25,
        holdout_score=None, holdout_interval=None, ceiling=0.5, fraction=0.4,
        baselines=(Baseline("best corpus prompt", "text", 0.1),),
        evaluations=330, seconds=10.5, search_seconds=8.0, stopped=stopped,
    )  # fmt: skip
    (run / "result.json").write_text(json.dumps(result.as_dict()))


def test_a_run_that_was_killed_is_interrupted(run):
    status = RunStatus.read(run)
    assert (status.name, status.state, status.string) == ("run", "interrupted", "the best")
    assert (status.score, status.fraction) == (0.25, 0.5)
    assert (status.evaluations, status.seconds, status.seconds_left) == (320, 10.0, None)
    assert status.rate == 32.0
    assert status.last_event == pytest.approx(time.time(), abs=60)
    assert status.describe() == (
        "Interrupted: 320 strings encoded in 10s; mean-prompt search --resume continues it."
    )


def test_a_run_is_running_while_a_process_works_in_its_folder(run):
    write_result(run)  # of an earlier process
    now = time.time()
    os.utime(run / "events.jsonl", (now - 30, now - 30))
    with FolderLock(run):
        status = RunStatus.read(run)
    assert status.state == "running"
    assert status.seconds_left == pytest.approx(120 - 10 - 30, abs=5)


def test_the_climbs_that_run_are_those_that_have_not_ended(run):
    folder = RunFolder(run, resume=True)
    stages = ((1, 0, 0.3), (2, 9, 0.5), (3, 2, 0.4), (1, 4, 0.45))
    for trial, number, fraction in stages:
        folder.log({"event": "stage", "trial": trial, "number": number, "fraction": fraction} | AT)
    folder.log(CLIMB | SCORES)
    assert RunStatus.read(run).climbs == (RunningClimb(1, 4, 0.45), RunningClimb(3, 2, 0.4))
    folder.close()
    assert RunStatus.read(run).climbs == ()


@pytest.mark.parametrize(("stopped", "state"), [(False, "finished"), (True, "stopped")])
def test_a_run_with_a_result_has_its_string_and_score(run, stopped, state):
    write_result(run, stopped=stopped)
    status = RunStatus.read(run)
    assert (status.state, status.string, status.score) == (state, "the best \N{PARROT}", 0.2)
    assert status.describe() == f"{state.capitalize()}: 330 strings encoded in 10s."


def test_a_result_from_before_a_resumption_is_not_its_end(run):
    write_result(run)
    event = {"event": "resume", "number": 1, "time": 12.5, "evaluations": 340}
    with (run / "events.jsonl").open("a") as file:
        file.write(json.dumps(event) + "\n")
    status = RunStatus.read(run)
    assert (status.state, status.string, status.evaluations) == ("interrupted", "the best", 340)


def test_a_best_string_whose_event_a_resumption_cut_is_shown_without_a_score(run):
    (run / "best.txt").write_text("better")
    status = RunStatus.read(run)
    assert (status.string, status.score, status.fraction) == ("better", None, None)


def test_reading_changes_nothing_and_leaves_out_a_line_that_is_being_written(run):
    with (run / "events.jsonl").open("a") as file:
        file.write('{"event": "best", "time": 11')
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert RunStatus.read(run).evaluations == 320
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_run_that_has_found_nothing_yet(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.write_recipe(Recipe())
    status = RunStatus.read(folder.path)
    folder.close()
    assert (status.state, status.string, status.score) == ("running", None, None)
    assert (status.rate, status.seconds_left, status.last_event) == (None, None, None)
    assert status.describe() == "Running: nothing was found yet."


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("events.jsonl", "{}\nno event\n", r"events.jsonl, line 2 is not; remove it"),
        ("events.jsonl", '{"event": "best"}\n', "KeyError: 'time'"),
        ("result.json", "{}", "run's result.json must be whole"),
    ],
)
def test_a_damaged_file_is_named(run, name, content, fault):
    (run / name).write_text(content)
    status = RunStatus.read(run)
    assert status.state == "damaged"
    assert fault in status.fault
    assert status.describe() == f"Damaged: {status.fault}"


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"must hold its recipe\.toml: found none in .*; name"):
        RunStatus.read(tmp_path)


class TestCommand:
    def test_it_prints_a_table_and_the_best_string(self, program, run):
        with FolderLock(run):
            code, out, err = program("status", run)
        assert (code, err) == (0, "")
        first, *rows, last = out.splitlines()
        assert first == "run: Running: 320 strings encoded in 10s."
        table = dict(re.split(r"\s{2,}", row.strip(), maxsplit=1) for row in rows)
        assert [*table] == [
            "score", "of the ceiling", "evaluations", "per second", "time left", "last event",
        ]  # fmt: skip
        assert [*table.values()][:4] == ["0.25000", "50.0 %", "320", "32"]
        assert last == "best so far: the best"

    def test_it_prints_json(self, program, run):
        code, out, err = program("status", run, "--json")
        assert (code, err) == (0, "")
        found = json.loads(out)
        assert found == RunStatus.read(run).as_dict()
        assert (found["state"], found["rate"]) == ("interrupted", 32.0)

    def test_a_run_without_a_string_has_no_figures(self, program, tmp_path):
        folder = RunFolder(tmp_path / "run")
        folder.write_recipe(Recipe())
        folder.close()
        code, out, _err = program("status", tmp_path / "run")
        assert (code, out.count("\n")) == (0, 1)

    def test_a_folder_without_a_run_is_one_line(self, program, tmp_path):
        code, out, err = program("status", tmp_path)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "must hold its recipe.toml" in err
