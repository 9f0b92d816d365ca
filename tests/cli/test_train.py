"""``mean-prompt train vector``: a folder for ``predict --vector``, and what it is worth."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mean_prompt import hybrid
from mean_prompt.corpus import read_triples
from mean_prompt.encoder.space import EmbeddingSpace
from mean_prompt.training import load_vector

ROWS = Path(__file__).parents[2] / "corpora" / "triples.jsonl"
OPTIONS = ("--model", "all-MiniLM-L6-v2")


@pytest.fixture
def write(tmp_path):
    """Return a function that writes some known rows, cut short, to ``rows.jsonl``."""

    def write(numbers, **changes):
        lines = ROWS.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(lines[number]) for number in numbers]
        with (tmp_path / "rows.jsonl").open("w", encoding="utf-8") as file:
            for row in rows:
                cut = {name: text[:120] for name, text in row.items()}
                file.write(json.dumps(cut | changes) + "\n")

    return write


@pytest.fixture
def run(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return partial(program, "train", "vector", "rows.jsonl", *OPTIONS, "--out", "out")


def test_a_folder_is_written_with_a_report_of_it(run, write, minilm, tmp_path):
    write(range(0, 90, 3))
    code, out, err = run()
    assert (code, err) == (0, "")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "manifest.json", "report.json", "vector.safetensors"
    }  # fmt: skip
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["rows"], report["prompts"]) == (30, 30)
    [side] = report["sides"]
    assert side["name"] == "texts"
    for name in ("vector", "choice", "oracle"):
        figure = side[name]
        assert figure["rows"] == 30
        assert 0 < figure["interval"]["low"] < figure["mean"] < figure["interval"]["high"] < 1
    # A string that was chosen without the truth scores no more than the one chosen by it.
    assert side["choice"]["mean"] < side["oracle"]["mean"]
    assert side["rung"] in {"mean", "texts", "views"}
    best = max(score for _, _, score in side["tried"])
    assert [side["rung"], side["alpha"], best] in side["tried"]
    assert sum(kind["rows"] for kind in side["kinds"]) == 30
    assert re.search(rf"oracle\W+30\W+{side['oracle']['mean']:.4f}", out)
    assert out.endswith("30 rows of 30 prompts; saved out\n")

    predictor = load_vector(tmp_path / "out", EmbeddingSpace(minilm))
    triples = read_triples(tmp_path / "rows.jsonl").triples
    left_out = predictor.forecast(triples.rows, known=True).vectors
    earned = np.sum(left_out * minilm.encode(triples.prompts), axis=1) ** 3
    assert earned.mean() == pytest.approx(side["vector"]["mean"], abs=1e-3)


def test_json_is_the_report(run, monkeypatch, tmp_path):
    plans = []

    def train(plan, **_options):
        plans.append(plan)
        plan.out.mkdir()
        report = hybrid.VectorReport(plan.out, 3, 3, (), ("dropped one, Zoë",))
        report.save()
        return report

    monkeypatch.setattr(hybrid, "train_vector", train)
    code, out, _ = run("--json", "--seed", "4", "--llm-shots", "2")
    assert code == 0
    assert out == (tmp_path / "out" / "report.json").read_text(encoding="utf-8")
    assert json.loads(out)["notes"] == ["dropped one, Zoë"]
    [plan] = plans
    assert (plan.options.seed, plan.options.model, plan.shots) == (4, OPTIONS[1], 2)
    assert (str(plan.triples), plan.llm) == ("rows.jsonl", "none")


def test_a_folder_that_is_there_is_kept(run, write, tmp_path):
    write(range(5))
    (tmp_path / "out").mkdir()
    code, out, err = run()
    assert (code, out) == (2, "")
    assert err == "mean-prompt: --out must be a new folder: out is there; give another name\n"
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.usefixtures("minilm")
def test_fewer_than_three_prompts_are_refused(run, write, tmp_path):
    write(range(5), rewrite_prompt="Make it rhyme, please")
    code, out, err = run()
    assert (code, out) == (2, "")
    assert "at least 3 prompts" in err
    assert "found 1 in 5 rows; give more\n" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_rows_without_prompts_are_refused(run, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"original_text": "a", "rewritten_text": "b"}\n')
    code, out, err = run()
    assert (code, out) == (2, "")
    assert "their true prompts in a column rewrite_prompt or prompt" in err
    assert err.count("\n") == 1
