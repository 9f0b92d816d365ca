"""``mean-prompt evaluate``: a table or JSON, and one line for what cannot be evaluated."""

import json
from dataclasses import replace
from functools import partial

import pytest
from click import unstyle

from mean_prompt.hybrid import comparison, options as blend
from mean_prompt.hybrid.options import BlendOptions
from mean_prompt.system.errors import RunError
from tests.hybrid.conftest import one_thread  # noqa: F401 a fixture
from tests.hybrid.prediction_run import KNOWN, WORLD, write_rows
from tests.hybrid.synthetic import UNIVERSAL, encoder

pytestmark = pytest.mark.usefixtures("one_thread")

SAID = [texts[0] for texts in WORLD.said(KNOWN)]


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(blend, "load_encoder", lambda _name, **_options: encoder())
    monkeypatch.setenv("COLUMNS", "120")
    write_rows(tmp_path / "known.jsonl", KNOWN, prompts=True, said=SAID)
    return tmp_path


@pytest.fixture
def run(program):
    """Return a function that runs the command in this process: exit code, stdout, stderr."""
    return partial(program, "evaluate")


GIVEN = ("known.jsonl", "--prompt", UNIVERSAL, "--trials", "1", "--max-tokens", "12")


@pytest.mark.slow
def test_a_page_json_and_a_table_of_the_same_figures(run, workplace, monkeypatch):
    (workplace / "page.html").write_text("an old one")
    made = []

    def compare(plan, **options):
        made.append(comparison.compare(plan, **options))
        return made[-1]

    monkeypatch.setattr("mean_prompt.hybrid.compare", compare)
    code, out, err = run(*GIVEN, "--llm", "column:said", "--json", "--report", "page.html")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert set(found) == {
        *("rows", "groups", "reference", "methods", "expected", "kinds", "winners", "losers"),
        *("notes", "outcomes"),
    }
    assert (found["rows"], found["groups"], found["reference"]) == (54, 18, "LLM alone")
    assert {one["name"] for one in found["methods"][-2:]} == {"oracle", "predicted vector"}
    for method in found["methods"]:
        assert set(method) == {
            *("name", "mean", "interval", "difference", "difference_interval", "ratio"),
        }
        assert method["interval"]["low"] <= method["mean"] <= method["interval"]["high"]
    assert len(found["outcomes"]) == 54
    assert set(found["outcomes"][0]) == {
        *("answer", "prompt", "group", "actual", "universal", "llm"),
    }
    assert set(found["winners"][0]) == {"prompt", "rows", "hybrid", "reference"}
    html = (workplace / "page.html").read_text("utf-8")
    assert "mean-prompt: evaluation of known.jsonl" in html
    assert f"{found['expected']:.5f}" in html

    monkeypatch.setattr("mean_prompt.hybrid.compare", lambda _plan, **_options: made[0])
    code, out, err = run(*GIVEN, "--llm", "column:said")
    assert (code, err) == (0, "")
    assert "SCS over 54 rows of 18 prompts, compared with the LLM alone" in out
    for name in ("hybrid", "LLM alone", "universal alone", "LLM + nearest prompt", "oracle",
                 "predicted vector"):  # fmt: skip
        assert name in out
    assert "recorded predictions: column 'said' of known.jsonl" in out
    assert "prompts that gain most" in out
    assert "make it style" in out
    assert f"The hybrid: expected {found['expected']:.4f}; prediction" in out

    made[0] = replace(made[0], expected=None)
    assert "The hybrid: prediction" in run(*GIVEN)[1]


def test_every_option_reaches_the_evaluation(run, monkeypatch):
    made = []

    def compare(plan, **_options):
        made.append(plan)
        raise RunError("enough was seen")

    monkeypatch.setattr("mean_prompt.hybrid.compare", compare)
    options = "--llm-shots 2 --llm-samples 3 --llm-temperature 0.5 --swap 0.25 --model m --seed 4"
    options += " --row-search 20"
    code, _, err = run(*GIVEN, *options.split(), "--suffix", "two", "--corpus", "a.csv")
    assert (code, err) == (1, "mean-prompt: enough was seen\n")
    [plan] = made
    assert (plan.shots, plan.swap, plan.llm_options.samples) == (2, 0.25, 3)
    assert plan.options == BlendOptions(
        model="m", corpus=("a.csv",), suffix="two", max_tokens=12, trials=1, seed=4, row_search=20
    )


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ((*GIVEN, "--swap", "0.5"), "--swap must have predictions to swap"),
        ((*GIVEN, "--llm", "column:x"), "known.jsonl"),
        ((*GIVEN, "--llm-batch", "3"), "batch has none with --llm none"),
        ((*GIVEN, "--vector", "trained"), "an evaluation must train on other rows than it judges"),
        ((*GIVEN, "--row-search", "auto"), "--row-search auto needs a time limit, which an"),
        ((*GIVEN, "--prompt", ""), "--prompt must be a string that is not blank: found ''"),
        ((*GIVEN, "--prefix", "results/no"), "--prefix must be a string, "),
        ((*GIVEN, "--max-tokens", "1"), "--prompt must have at most --max-tokens 1: found 2"),
        (("gone.jsonl", *GIVEN[1:]), "gone.jsonl is not there"),
        (("one.jsonl", *GIVEN[1:]), "an evaluation must have at least 4 prompts"),
    ],
)
def test_bad_input_is_one_line(run, workplace, arguments, fault):
    write_rows(workplace / "one.jsonl", KNOWN[:1], prompts=True)
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("mean-prompt: ")
    assert err.count("\n") == 1
    assert fault in err


@pytest.mark.parametrize(
    "arguments",
    [GIVEN[1:], (*GIVEN, "--swap", "2")],
    ids=["no triples", "swap over all"],
)
def test_bad_usage_ends_with_code_2(run, arguments):
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert "Usage: " in unstyle(err)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("known.jsonl", "--report must be a page, whose name ends in .html: found known.jsonl"),
        ("gone/page.html", "--report must be a file that can be written: gone/page.html"),
        (
            "folder.html",
            "--report must be a file: folder.html is a folder; name a file",
        ),
    ],
)
def test_a_page_that_cannot_be_written_is_found_before_anything_else(
    run, workplace, monkeypatch, name, fault
):
    (workplace / "folder.html").mkdir()
    before = (workplace / "known.jsonl").read_bytes()
    monkeypatch.setattr(comparison, "read_triples", lambda _path: pytest.fail("it began"))
    code, out, err = run(*GIVEN, "--report", name)
    assert (code, out) == (2, "")
    assert err.startswith(f"mean-prompt: {fault}")
    assert err.count("\n") == 1
    assert (workplace / "known.jsonl").read_bytes() == before
