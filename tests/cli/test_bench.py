"""``mean-prompt bench``: tables and JSON as said; bad input is one line and exit code 2."""

import json
from functools import partial

import pytest

from mean_prompt.bench import methods as bench, speed
from mean_prompt.bench.scale import ScaleRow
from mean_prompt.runs.recipe import ModelSection
from tests.bench.test_methods import Interrupted, Steps

PROMPTS = [
    "Rewrite this as a poem", "Make it formal", "Turn it into a sea shanty, please",
    "Summarise the text", "Write a story about a cat", "Improve the style of the letter",
]  # fmt: skip
ROW = ScaleRow(
    prompts=50,
    dimension=8,
    prepare_seconds=0.1,
    objective_seconds=0.002,
    step_seconds=0.25,
    step_ratio=1.0,
    error=0.0,
    step_error=0.0,
    exact_seconds=0.1,
    score_error=1e-7,
    peak_gib=None,
)


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch, tiny_bert):
    """Run in a folder of its own with two methods and one small model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.txt").write_text("\n".join(PROMPTS))
    known = {"mean-prompt": Steps("mean-prompt", 12), "random": Steps("random")}
    monkeypatch.setattr(bench, "known_methods", lambda _: known)
    monkeypatch.setattr(ModelSection, "load", lambda _: tiny_bert)
    monkeypatch.setattr(speed, "load_encoder", lambda *_, **__: tiny_bert)
    monkeypatch.setattr(speed, "_SQUARE", 64)
    monkeypatch.setattr(speed, "_PRODUCT_SECONDS", 0.001)
    return known


@pytest.fixture
def run(program):
    """Return a function that runs the program in this process: exit code, stdout, stderr."""
    return partial(program, "bench")


def test_methods_prints_a_table(run):
    code, out, _ = run("methods", "good.txt", "--seeds", "0,1", "--max-tokens", 6)
    assert code == 0
    assert "mean-prompt" in out
    assert "random" in out
    assert "6 prompts" in out


def test_methods_json_stands_alone_on_standard_output(run):
    code, out, err = run("methods", "good.txt", "--seeds", "5", "--holdout", "0.3", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["setup"]["max_tokens"] == 32
    assert report["setup"]["machine"]["command"].startswith("mean-prompt bench methods good.txt")
    assert [row["seed"] for row in report["runs"]] == [5, 5]
    assert "run 1 of 2, mean-prompt with seed 5" in err


def test_methods_takes_the_named_ones_and_a_folder(run, tmp_path):
    code, out, _ = run(
        "methods", "good.txt", "--methods", "random", "--seeds", "0", "--out", "found"
    )
    assert code == 0
    assert "Saved in found" in out
    saved = json.loads((tmp_path / "found" / "methods.json").read_text())
    assert saved["setup"]["methods"] == ["random"]


def test_a_recipe_sets_the_tokens(run, tmp_path):
    (tmp_path / "mine.toml").write_text("[constraints]\nmax_tokens = 9\n")
    _, out, _ = run("methods", "good.txt", "--recipe", "mine.toml", "--seeds", "0", "--json")
    assert json.loads(out)["setup"]["max_tokens"] == 9


def test_ctrl_c_still_prints_what_was_finished(run, workplace):
    workplace["random"] = Interrupted("random")
    code, out, _ = run("methods", "good.txt", "--seeds", "0")
    assert code == 0
    assert "Ended early, after 1 runs." in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "nope"], "--methods must be among mean-prompt, random: found 'nope'"),
        (["--methods", ","], "--methods must name each method once"),
        (["--seeds", "a"], "--seeds must be integers separated by commas: found 'a'"),
        (["--seeds", "0,0"], "--seeds must be different integers"),
        (["--seeds", "-1"], "--seeds must be different integers"),
        (["--budget", "soon"], "a duration reads like"),
        (["--max-tokens", "0"], "max_tokens"),
        (["--max-tokens", "1000"], "max_tokens must be at most what the model reads"),
        (["--holdout", "2"], "corpus.holdout"),
        (["--recipe", "nope"], "a recipe must be a file"),
        (["--out", "good.txt"], "--out must be a folder that can be written"),
    ],
)
def test_bad_input_to_methods_is_one_line(run, arguments, message):
    code, out, err = run("methods", "good.txt", *arguments)
    *_, last = err.splitlines()
    assert code == 2
    assert out == ""
    assert last.startswith("mean-prompt: ")
    assert message in last
    assert "Traceback" not in err


def test_a_corpus_that_is_not_there_is_named(run):
    code, _, err = run("methods", "none.csv")
    assert code == 2
    assert "none.csv" in err


def test_speed_prints_a_table_and_the_share(run):
    code, out, _ = run("speed", "--model", "tiny", "--tokens", 5, "--batch", 8, "--repeats", 1)
    assert code == 0
    assert "SentenceTransformer.encode" in out
    assert "GFLOP/s of matrix products" in out


def test_speed_json_stands_alone(run):
    code, out, _ = run(
        "speed", "--model", "tiny", "--tokens", 5, "--batch", 8, "--repeats", 2, "--json"
    )
    assert code == 0
    assert json.loads(out)["repeats"] == 2


@pytest.mark.parametrize("option", ["--tokens", "--batch", "--repeats"])
def test_bad_input_to_speed_is_one_line(run, option):
    code, out, err = run("speed", option, 0)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == f"mean-prompt: {option} must be at least 1: found 0"


@pytest.fixture
def measured(monkeypatch):
    """Put made-up rows in the place of measurements; return the sizes asked for."""
    asked = []

    def measure(sizes):
        asked.extend(sizes)
        return iter([ROW] * len(sizes))

    # Where the command takes it from: the name may have been resolved before.
    monkeypatch.setattr("mean_prompt.bench.bench_scale", measure)
    return asked


def test_scale_prints_a_row_a_size(run, measured):
    code, out, _ = run("scale", "--sizes", "50,60")
    assert code == 0
    assert measured == [50, 60]
    assert len(out.splitlines()) == 3


@pytest.mark.usefixtures("measured")
def test_scale_json_stands_alone(run):
    code, out, _ = run("scale", "--sizes", "50", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["rows"][0]["prompts"] == 50
    assert report["machine"]["versions"]["torch"]


@pytest.mark.parametrize("sizes", ["1", "x", "10,", "0,10"])
def test_bad_sizes_are_one_line(run, measured, sizes):
    code, _, err = run("scale", "--sizes", sizes)
    assert code == 2
    assert err.startswith("mean-prompt: --sizes must be")
    assert not measured
