"""``mean-prompt doctor``: 0 where a run works, 1 where one would not, 2 for bad usage."""

import json
import subprocess
import sys

import pytest

from mean_prompt.doctor import examination as examining
from mean_prompt.doctor.finding import Finding


@pytest.fixture
def checks(monkeypatch):
    """Return a function that puts one finding in the place of all checks."""

    def put(*found):
        monkeypatch.setattr(examining.examine, "__defaults__", ((("it", lambda _: found),),))

    return put


def test_a_healthy_set_up(run, tiny_t5_folder, tmp_path):
    storage = f"sqlite:///{tmp_path}/shared.db"
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run("--model", tiny_t5_folder, "--storage", storage, "--json")
    found = {one["check"]: one for one in json.loads(out)}
    assert (code, err) == (0, "")
    assert {one["state"] for one in found.values()} <= {"good", "note", "warning"}
    for name in ("packages", "faiss", "runs' folder", "caches", "corpus"):
        assert found[name]["state"] == "good", found[name]
    assert "4 modules" in found["model files"]["found"]
    assert found["offline"]["found"] == "a run needs no network: tiny-t5 is on this machine"
    assert "vectors of 24 numbers" in found["model"]["found"]
    assert "evaluations a second in bfloat16" in found["dtype"]["found"]
    assert "shared.db is not there yet" in found["storage"]["found"]
    assert sorted(tmp_path.rglob("*")) == before


def test_lines_say_what_is_found_and_below_what_to_do(run, checks):
    checks(Finding("a", "good", "fine"), Finding("b", "warning", "slow", "hurry"))
    code, out, _ = run()
    assert code == 0
    assert out.splitlines() == [
        "good     a: fine",
        "warning  b: slow",
        "         -> hurry",
        "no fault, 1 warning: a run works",
    ]


def test_a_fault_ends_with_1(run, checks):
    checks(Finding("a", "fault", "broken", "mend it"))
    code, out, _ = run()
    assert code == 1
    assert out.endswith("1 fault, no warnings: a run would not work\n")
    assert run("--json")[0] == 1


def test_neither_passwords_nor_control_characters_are_shown(run, checks):
    checks(Finding("a", "fault", "postgresql://me:hunter2@host/db \x1b[31m", "http://u:pw@host"))
    for arguments in ((), ("--json",)):
        _, out, _ = run(*arguments)
        assert "hunter2" not in out
        assert "pw@" not in out
        assert "\x1b" not in out
        assert "x1b[31m" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--study", "s"], "give --storage too"), (["--nonsense"], "No such option")],
)
def test_bad_usage_ends_with_2(run, monkeypatch, arguments, said):
    monkeypatch.delenv("MEAN_PROMPT_STORAGE", raising=False)
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert said in err


def test_a_check_that_crashes_is_a_fault_and_loses_no_other():
    def crash(_patient):
        yield Finding("first", "good", "fine")
        raise ZeroDivisionError("three by nought\nand more")

    def look(_patient):
        yield Finding("last", "good", "fine")

    first, crashed, last = examining.examine(
        examining.RunSettings(), [("it", crash), ("that", look)]
    )
    assert (first.check, last.check) == ("first", "last")
    assert (crashed.check, crashed.state) == ("it", "fault")
    assert crashed.found.startswith("looking at it failed in test_command.py, line ")
    assert crashed.found.endswith(": ZeroDivisionError: three by nought")


def test_what_needs_a_broken_package_is_skipped_by_its_name():
    def crash(_patient):
        raise ImportError("no torch")
        yield

    patient = examining.RunSettings(unusable={"torch"})
    [found] = examining.examine(patient, [("threads", crash)])
    assert (found.check, found.state) == ("threads", "skipped")
    assert found.found == "it cannot be looked at without torch: ImportError: no torch"


def test_an_interrupt_ends_it():
    def stop(_patient):
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        list(examining.examine(examining.RunSettings(), [("it", stop)]))


def test_several_things_broken_at_once_are_all_told(run, folder, tmp_path):
    (folder / "2_Dense" / "model.safetensors").unlink()
    (tmp_path / "file").write_text("")
    storage = "postgresql://me:hunter2@127.0.0.1:1/db"
    code, out, _ = run("--model", folder, "--storage", storage, "--out", "file", "--json")
    states = {one["check"]: one["state"] for one in json.loads(out)}
    assert code == 1
    assert "hunter2" not in out
    faults = {check for check, state in states.items() if state == "fault"}
    assert faults == {"model files", "runs' folder", "storage"}
    assert (states["faiss"], states["model"]) == ("good", "skipped")


def test_it_starts_where_any_package_is_broken():
    heavy = {"torch", "numpy", "faiss", "optuna", "sqlalchemy", "transformers", "packaging"}
    code = f"import sys, mean_prompt.doctor.examination as _; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
