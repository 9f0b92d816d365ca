"""How two runs are compared, one of which was killed; the kills themselves take minutes."""

import json
import shutil
import subprocess
import sys

import pytest

from benchmarks import kills as module
from benchmarks.figures import finish
from benchmarks.kills import Life
from mean_prompt.optimize.sampling import StudySettings
from mean_prompt.runs.checkpoint import Checkpoint
from mean_prompt.runs.study_file import StudyFile
from mean_prompt.system.errors import RunError
from tests.climbs import climb

EVENTS = [
    {"event": "best", "time": 1.0, "evaluations": 9, "trial": 0, "text": "a"},
    {"event": "climb", "time": 2.0, "evaluations": 20, "trial": 0, "text": "a"},
]
RESULT = {"score": 0.5, "evaluations": 20, "fraction": 0.9}


def lines(events):
    return "".join(json.dumps(row) + "\n" for row in events)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of runs that differ in nothing, but in the score of a climb."""
    return {score: make_run(tmp_path_factory.mktemp("run"), score) for score in (0.5, 0.4)}


def make_run(run, score):
    (run / "best.txt").write_text("a")
    (run / "result.json").write_text(json.dumps(RESULT))
    (run / "events.jsonl").write_text(lines(EVENTS))
    study = StudyFile(run / "study.db", StudySettings())
    study.add(climb(score=score))
    study.close()
    return run


def test_runs_that_differ_in_their_clocks_alone_are_the_same(runs, tmp_path):
    other = shutil.copytree(runs[0.5], tmp_path / "other")
    later = [event | {"time": event["time"] + 5} for event in EVENTS]
    resumed = {"event": "resume", "number": 1, "time": 3.0}
    (other / "events.jsonl").write_text(lines([resumed, *later]))
    same = module._compare(runs[0.5], other)
    assert same.pop("trials left running") == 0
    assert same.pop("fraction") == 0.9
    assert same == dict.fromkeys(["string", "score", "evaluations", "events", "climbs"], True)


@pytest.mark.parametrize(
    ("score", "name", "text", "what"),
    [
        (0.5, "best.txt", "b", ["string"]),
        (0.5, "result.json", json.dumps(RESULT | {"score": 0.4, "evaluations": 21}),
         ["score", "evaluations"]),
        (0.4, "events.jsonl", lines([*EVENTS, EVENTS[-1]]), ["events", "climbs"]),
    ],
)  # fmt: skip
def test_whatever_differs_is_named(runs, tmp_path, score, name, text, what):
    other = shutil.copytree(runs[score], tmp_path / "other")
    (other / name).write_text(text)
    same = module._compare(runs[0.5], other)
    assert [name for name, value in same.items() if value is False] == what


def test_a_life_ends_at_its_last_save(tmp_path):
    assert module._life(tmp_path, 1.5, "SIGKILL") == Life(1.5, 0, "SIGKILL")
    Checkpoint(tmp_path / "checkpoint.bin").save({"evaluations": 300, "spent": 1.0})
    assert module._life(tmp_path, 2.0, "SIGKILL") == Life(2.0, 300, "SIGKILL")


def test_it_is_killed_so_often_and_then_left_to_end(tmp_path, monkeypatch):
    """With processes that are none, the last of which alone comes to an end by itself."""
    commands, killed = [], []
    run = tmp_path / "run"

    class Process:
        def __init__(self, command):
            commands.append(command)
            run.mkdir(exist_ok=True)
            if len(commands) > 1:  # the first one is killed before it has written what it is asked
                (run / "recipe.toml").touch()

        def kill(self):
            killed.append(self)

    monkeypatch.setattr(module, "start", Process)
    monkeypatch.setattr(module, "_wait_for_work", lambda *_: None)
    waits = []
    monkeypatch.setattr(module, "_wait", lambda _process, seconds: waits.append(seconds))
    monkeypatch.setattr(
        module, "finish", lambda process: ("SIGKILL" if process in killed else "done", "")
    )
    lives = module._disturbed(["first"], run, [0.0] * 4)
    assert [life.ended for life in lives] == ["SIGKILL"] * 4 + ["done"]
    assert commands[:2] == [["first"], ["first"]]
    assert commands[2:] == [["search", "--resume", str(run), "--quiet"]] * 3
    assert len(waits) == 4
    assert all(0.0 <= seconds <= 40.0 for seconds in waits)


def test_a_search_that_fails_ends_the_benchmark_and_one_that_is_killed_does_not():
    codes = [
        "pass",
        "import os; os.kill(os.getpid(), 9)",
        "import sys; print('a warning', file=sys.stderr); sys.exit('mean-prompt: no corpus')",
    ]
    done, killed, failed = (
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for code in codes
    )
    assert finish(done) == ("done", "")
    assert finish(killed) == ("SIGKILL", "")
    with pytest.raises(RunError, match="a search must not fail: mean-prompt: no corpus"):
        finish(failed)


def test_all_kills_fall_into_the_search():
    pauses = module._pauses(20, 100.0, 3)
    assert len(pauses) == 20
    assert min(pauses) >= 0.0
    assert 50.0 < sum(pauses) <= 85.0
    assert pauses == module._pauses(20, 100.0, 3) != module._pauses(20, 100.0, 4)
