"""``mean-prompt check``: exit code 0 and "valid", or 2 and the list of faults."""

import json
from functools import partial

import pytest

from tests.fakes import FakeEncoder

GOOD = "id,rewrite_prompt\na,poem\nb,formal tone\n"


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test.csv").write_text("id,original_text,rewritten_text\na,x,y\nb,x,y\n")
    (tmp_path / "good.csv").write_text(GOOD)
    (tmp_path / "bad.csv").write_text("id,rewrite_prompt\nb,\nc,poem\n")


@pytest.fixture
def loaded(monkeypatch):
    """Replace the model by a small one; return the names that it was asked for by."""
    names = []

    def load(name=None, **_options):
        names.append(name)
        return FakeEncoder(max_tokens=1)

    monkeypatch.setattr("mean_prompt.encoder.load_encoder", load)
    return names


@pytest.fixture
def run(program):
    """Return a function that runs the command in this process: exit code, stdout, stderr."""
    return partial(program, "check")


def test_a_valid_submission_ends_with_0(run, loaded):
    code, out, err = run("good.csv", "--test", "test.csv")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "valid: 2 rows",
        "tokens were not counted: give --max-tokens or --model to find over-long answers",
    ]
    assert loaded == []


def test_faults_end_with_2_and_are_listed(run, loaded):
    code, out, err = run("bad.csv", "--test", "test.csv")
    assert (code, err) == (2, "")
    assert out.splitlines()[:4] == [
        "fault: each id of the test file must be there: missing 1: a",
        "fault: each id must be one of the test file: found 1: c (line 3)",
        "fault: no answer may be empty, or what pandas reads so: found 1: b (line 2)",
        "not valid: 3 kinds of fault",
    ]
    assert loaded == []


def test_warnings_leave_a_submission_valid(run, tmp_path):
    (tmp_path / "turned.csv").write_text("id,rewrite_prompt\nb,x\na,y\n")
    code, out, _ = run("turned.csv", "--test", "test.csv")
    assert code == 0
    assert out.startswith("warning: rows should be in the test file's order: line 2 has b,")
    assert "\nvalid: 2 rows\n" in out


def test_json_is_a_list_and_the_rest_goes_to_standard_error(run):
    code, out, err = run("bad.csv", "--test", "test.csv", "--json")
    assert code == 2
    findings = json.loads(out)
    assert [finding["rule"] for finding in findings] == ["missing-id", "extra-id", "null"]
    assert all(set(finding) == {"severity", "rule", "message"} for finding in findings)
    assert err.startswith("tokens were not counted: ")
    code, out, _ = run("good.csv", "--test", "test.csv", "--json")
    assert (code, json.loads(out)) == (0, [])


def test_a_token_budget_loads_the_default_model(run, loaded):
    code, out, _ = run("good.csv", "--test", "test.csv", "--max-tokens", "1")
    assert code == 2
    assert "fault: an answer may have at most 1 tokens: found 1: b (line 3, 2 tokens)\n" in out
    assert out.endswith("not valid: 1 kind of fault\n")
    assert loaded == [None]


def test_a_model_alone_finds_what_it_cuts(run, loaded):
    code, out, _ = run("good.csv", "--test", "test.csv", "--model", "mine")
    assert code == 0
    assert "cuts them after 1 tokens: found 1: b (line 3, 2 tokens)\nvalid: 2 rows\n" in out
    assert "not counted" not in out
    assert loaded == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["gone.csv", "--test", "test.csv"], "a submission must be readable: gone.csv: No such"),
        (["good.csv", "--test", "gone.csv"], "a table must be a file: gone.csv is not there"),
        (["good.csv", "--test", "bad.txt"], "bad.txt is not there"),
    ],
)
def test_files_that_are_not_there_are_one_line_before_any_model(run, loaded, arguments, fault):
    code, out, err = run(*arguments, "--max-tokens", "9")
    assert (code, out) == (2, "")
    assert err.startswith("mean-prompt: ")
    assert fault in err
    assert err.count("\n") == 1
    assert loaded == []


@pytest.mark.parametrize(
    "arguments", [["good.csv"], ["good.csv", "--test", "t", "--max-tokens", 0]]
)
def test_bad_usage_ends_with_2(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Usage: " in err
