"""``mean-prompt doctor``: 0 if a run works, 1 if it would not, 2 for bad usage."""

import json
import subprocess
import sys

import pytest

from mean_prompt.doctor import examination
from mean_prompt.doctor.diagnosis import Diagnosis
from mean_prompt.doctor.examination import examine
from mean_prompt.doctor.settings import RunSettings


@pytest.fixture
def run(program, monkeypatch, tmp_path):
    """Return a function that runs the command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: program("doctor", *arguments)


@pytest.fixture
def checks(monkeypatch):
    """Return a function that replaces all checks by one with the given findings."""

    def replace(*found):
        monkeypatch.setattr(examination.examine, "__defaults__", ((("it", lambda _: found),),))

    return replace


def test_a_healthy_set_up(run, tiny_t5_folder, tmp_path):
    code, out, err = run("--model", tiny_t5_folder, "--json")
    found = {one["check"]: one for one in json.loads(out)}
    assert (code, err) == (0, "")
    assert {one["state"] for one in found.values()} <= {"good", "note", "warning"}
    for name in ("packages", "runs' folder", "caches", "corpus", "model files"):
        assert found[name]["state"] == "good", found[name]
    assert found["offline"]["found"] == "a run needs no network: tiny-t5 is on this machine"
    assert "vectors of 24 numbers" in found["model"]["found"]
    assert "evaluations a second" in found["dtype"]["found"]
    assert list(tmp_path.iterdir()) == []


def test_several_faults_are_all_found(run, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "file").write_text("")
    code, out, _ = run("--model", "model", "--out", "file", "--json")
    states = {one["check"]: one["state"] for one in json.loads(out)}
    assert code == 1
    faults = {check for check, state in states.items() if state == "fault"}
    assert faults == {"model", "runs' folder"}


def test_lines_say_what_is_found_and_below_what_to_do(run, checks):
    checks(Diagnosis("a", "good", "fine"), Diagnosis("b", "warning", "slow", "hurry"))
    code, out, _ = run()
    assert code == 0
    assert out.splitlines() == [
        "good     a: fine",
        "warning  b: slow",
        "         -> hurry",
        "no fault, 1 warning: a run works",
    ]
    checks(Diagnosis("a", "fault", "broken", "fix it"))
    code, out, _ = run()
    assert code == 1
    assert out.endswith("1 fault, no warnings: a run would not work\n")


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_neither_passwords_nor_control_characters_are_shown(run, checks, arguments):
    checks(Diagnosis("a", "fault", "http://me:hunter2@host/v1 \x1b[31m", "http://u:pw@host"))
    _, out, _ = run(*arguments)
    assert "hunter2" not in out
    assert "pw@" not in out
    assert "\x1b" not in out
    assert "x1b[31m" in out


def test_a_check_that_crashes_is_a_fault_and_loses_no_other():
    def crash(_settings):
        yield Diagnosis("first", "good", "fine")
        raise ZeroDivisionError("three by nought\nand more")

    def check(_settings):
        yield Diagnosis("last", "good", "fine")

    first, crashed, last = examine(RunSettings(), [("it", crash), ("that", check)])
    assert (first.check, last.check) == ("first", "last")
    assert (crashed.check, crashed.state) == ("it", "fault")
    assert crashed.found.startswith("checking it failed in test_command.py, line ")
    assert crashed.found.endswith(": ZeroDivisionError: three by nought")


def test_what_needs_a_broken_package_is_skipped_by_its_name():
    def crash(_settings):
        raise ImportError("no torch")
        yield

    [found] = examine(RunSettings(unusable={"torch"}), [("threads", crash)])
    assert (found.check, found.state) == ("threads", "skipped")
    assert found.found == "it cannot be checked without torch: ImportError: no torch"


def test_it_starts_if_any_package_is_broken():
    heavy = {"torch", "numpy", "faiss", "optuna", "sqlalchemy", "transformers", "packaging"}
    code = f"import sys, mean_prompt.doctor.examination as _; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
