"""A run opened from its folder."""

import json
import shutil

import numpy as np
import pytest

from mean_prompt.api import search
from mean_prompt.report.analysis.opened_run import open_run
from mean_prompt.runs.files import BEST, EVENTS, RECIPE, RESULT
from mean_prompt.system.errors import InputError
from tests.tiny_models import WORDS

PROMPTS = [f"{WORDS[i]} the {WORDS[i + 30]} text" for i in range(30)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_bert_folder):
    folder = tmp_path_factory.mktemp("opening")
    (folder / "prompts.txt").write_text("\n".join(PROMPTS), "utf-8")
    search(
        folder / "prompts.txt",
        max_evaluations=60,
        max_tokens=8,
        model=str(tiny_bert_folder),
        out=folder / "run",
    )
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the run that a test may harm."""
    return shutil.copytree(finished / "run", tmp_path / "run")


def test_a_finished_run_is_as_it_was(run):
    found = open_run(run)
    assert found.best == found.result.string
    look = found.space.analyse_string(found.best, with_worths=False)
    assert look.score == pytest.approx(found.result.score, abs=1e-6)
    assert look.fraction == pytest.approx(found.result.fraction, abs=1e-6)
    assert found.problem.train_score(found.encoder.encode([found.best])[0]) == pytest.approx(
        found.result.train_score, abs=1e-6
    )


def test_a_run_that_has_not_finished_opens_too(run):
    (run / RESULT).unlink()
    (run / EVENTS).unlink()
    (run / BEST).write_text("the text", "utf-8")
    found = open_run(run)
    assert found.result is None
    assert found.best == "the text"
    assert sorted(found.problem.prompts) == sorted(PROMPTS)


def test_vectors_come_from_the_cache(run, monkeypatch):
    from mean_prompt.encoder.encoder import Encoder

    open_run(run)
    counted = []
    encode = Encoder.encode

    def counting(self, texts):
        counted.extend(texts)
        return encode(self, texts)

    monkeypatch.setattr(Encoder, "encode", counting)
    open_run(run)
    assert not set(counted) & set(PROMPTS)


def test_a_corpus_that_moved_is_named_anew(finished, run, tmp_path):
    moved = shutil.copy(finished / "prompts.txt", tmp_path / "moved.txt")
    recipe = (run / RECIPE).read_text("utf-8")
    (run / RECIPE).write_text(
        recipe.replace(str(finished / "prompts.txt"), str(tmp_path / "gone.txt")), "utf-8"
    )
    with pytest.raises(InputError, match=r"gone\.txt"):
        open_run(run)
    assert len(open_run(run, corpus=[str(moved)]).problem.prompts) == len(PROMPTS)


def test_a_corpus_or_model_that_changed_is_refused(run, tmp_path):
    changed = tmp_path / "prompts.txt"
    changed.write_text("\n".join([*PROMPTS, "one more"]), "utf-8")
    with pytest.raises(InputError, match=r"with its own corpus: .* has the hash .*; name its"):
        open_run(run, corpus=[str(changed)])
    result = json.loads((run / RESULT).read_text("utf-8"))
    result["model"]["content_hash"] = "0" * 64
    (run / RESULT).write_text(json.dumps(result), "utf-8")
    with pytest.raises(InputError, match=r"with its own model: .* has the hash 0000000000000000"):
        open_run(run)


def test_a_run_of_an_affix_is_refused(run):
    recipe = (run / RECIPE).read_text("utf-8")
    context = '[context]\ntriples = "rows.csv"\n'
    (run / RECIPE).write_text(recipe.replace("[context]\n", context), "utf-8")
    with pytest.raises(InputError, match=r"searched an affix .* rows\.csv, which is not supported"):
        open_run(run)


def test_a_corpus_in_memory_must_be_named(run, finished):
    recipe = (run / RECIPE).read_text("utf-8").splitlines()
    start = next(i for i, line in enumerate(recipe) if line.startswith("sources"))
    end = next(i for i in range(start, len(recipe)) if recipe[i].endswith("]"))
    (run / RECIPE).write_text("\n".join([*recipe[:start], *recipe[end + 1 :]]), "utf-8")
    with pytest.raises(InputError, match="searched one that was in memory; name files"):
        open_run(run)
    assert np.isfinite(open_run(run, corpus=[str(finished / "prompts.txt")]).problem.ceiling.value)


def test_a_run_without_a_string_is_refused(run):
    for name in (RESULT, EVENTS, BEST):
        (run / name).unlink()
    with pytest.raises(InputError, match=r"must have found a string: .* holds none yet; wait"):
        open_run(run)


def test_a_damaged_run_and_a_folder_without_one_are_refused(run, tmp_path):
    (run / EVENTS).write_bytes(b"\xff\xfe\n")
    with pytest.raises(InputError, match=r"events\.jsonl, line 1 is not; remove it"):
        open_run(run)
    with pytest.raises(InputError, match=RECIPE):
        open_run(tmp_path / ("x" * 5_000))
