"""How the benchmark of crews compares runs; the runs themselves take minutes."""

import json
import subprocess
import sys

import pytest

from benchmarks import crew as module
from benchmarks.figures import write_figures
from mean_prompt.system.errors import RunError


def run(workers, fraction, *bests):
    return {
        "workers": workers,
        "seed": 0,
        "fraction": fraction,
        "train_fraction": bests[-1][1],
        "bests": list(bests),
    }


#: Of 100 s each: two by one process, and three by workers.
RUNS = [
    run(None, 0.78, (10.0, 0.5), (90.0, 0.79)),
    run(None, 0.80, (20.0, 0.6), (70.0, 0.81)),
    run(2, 0.79, (10.0, 0.5), (60.0, 0.80), (100.0, 0.82)),
    run(2, 0.81, (90.0, 0.83)),
    run(2, 0.75, (95.0, 0.76)),
]


def test_workers_are_timed_to_what_one_process_had_at_its_end():
    found = module._compared(RUNS, 100.0)
    assert found["median of one"] == pytest.approx(0.79)
    assert found["median of workers"] == pytest.approx(0.79)
    assert found["goal"] == pytest.approx(0.80)
    assert found["seconds to the goal"] == {"one": [None, 70.0], "workers": [60.0, 90.0, None]}
    assert found["time ratio"] == pytest.approx(0.9)
    assert json.loads(json.dumps(found)) == found


def test_without_most_workers_at_the_goal_there_is_no_ratio():
    found = module._compared([*RUNS[:2], RUNS[4], RUNS[4]], 100.0)
    assert found["time ratio"] is None
    # Infinity would be no JSON that others read.
    json.dumps(found, allow_nan=False)


def test_reaching_a_goal_allows_for_rounding():
    bests = [(1.0, 0.5), (2.0, 0.8 - 1e-12), (3.0, 0.9)]
    assert module._time_to(bests, 0.8) == 2.0
    assert module._time_to(bests, 0.95) is None


def test_figures_are_written_with_the_command_and_without_its_password(tmp_path, monkeypatch):
    url = "postgresql://me:Tr0ub4dor@host/db"
    monkeypatch.setattr(sys, "argv", ["crew", "crowd", "a.csv", "--storage", url])
    write_figures(tmp_path / "crowd.json", module._COMMAND, {"workers": 32})
    text = (tmp_path / "crowd.json").read_text()
    assert "Tr0ub4dor" not in text
    written = json.loads(text)
    assert written["workers"] == 32
    assert written["machine"]["command"].startswith(
        "python -m benchmarks.crew crowd a.csv --storage"
    )


def test_a_storage_is_part_of_no_command_line(tmp_path, monkeypatch):
    """Other users can read a command line; a run's files are read before its folder is removed."""
    seen = {}

    def start(arguments, more):
        seen.update(arguments=arguments, more=more)
        out = tmp_path / arguments[arguments.index("--out") + 1]
        out.mkdir(parents=True)
        result = {"seed": 3, "fraction": 0.7, "evaluations": 90, "seconds": 5.0}
        (out / "result.json").write_text(json.dumps(result | {"workers": [{"number": 0}]}))
        events = [
            {"event": "best", "time": 1.0, "fraction": 0.4},
            {"event": "climb", "time": 2.0, "fraction": 0.3},
            {"event": "best", "time": 3.0, "fraction": 0.6},
        ]
        (out / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in events))

    printed = "worker 1 died and is started again: it was killed\nsaved\n"
    monkeypatch.setattr(module, "start", start)
    monkeypatch.setattr(module, "finish", lambda _process: ("done", printed))
    url = "postgresql://me:Tr0ub4dor@host/db"
    found = module._run(tmp_path / "a.csv", "m", 16, ["--budget", "9s"], 2, url)
    assert "Tr0ub4dor" not in " ".join(seen["arguments"])
    assert seen["more"] == {"MEAN_PROMPT_STORAGE": url}
    assert seen["arguments"][-4:-2] == ["--workers", "2"]
    assert found["bests"] == [(1.0, 0.4), (3.0, 0.6)]
    assert (found["train_fraction"], found["died"], found["crew"]) == (0.6, 1, [{"number": 0}])
    module._run(tmp_path / "a.csv", "m", 16, [], None)
    assert "--workers" not in seen["arguments"]
    assert seen["more"] == {}


def test_a_run_that_fails_ends_the_benchmark():
    code = "import sys; sys.exit('a note\\nmean-prompt: no corpus')"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    with pytest.raises(RunError, match="a search must not fail: mean-prompt: no corpus"):
        module.finish(process)


def quality_file(path, runs, *, budget=100.0):
    shown = [run | {"evaluations": 9_000, "seconds": 100.0} for run in runs]
    path.write_text(
        json.dumps({"machine": {"cpu": path.stem}, "slack": 1.1, "budget": budget, "runs": shown})
    )
    return path


def test_files_of_one_budget_are_compared_as_one(tmp_path):
    one = quality_file(tmp_path / "one.json", [RUNS[0], RUNS[2]])
    other = quality_file(tmp_path / "other.json", [RUNS[1], RUNS[3], RUNS[4]])
    module.pooled([one, other], tmp_path / "all.json")
    found = json.loads((tmp_path / "all.json").read_text())
    assert [machine["cpu"] for machine in found["machines"]] == ["one", "other"]
    assert (found["goal"], found["time ratio"]) == (pytest.approx(0.80), pytest.approx(0.9))
