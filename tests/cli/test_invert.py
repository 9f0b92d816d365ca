"""``mean-prompt invert``: strings for vectors, by the packaged model."""

import json
from functools import partial

import numpy as np
import pytest

OPTIONS = ("--model", "all-MiniLM-L6-v2", "--evaluations", "60", "--max-tokens", "12")


@pytest.fixture
def run(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some.txt").write_text("Rewrite the text as a poem.\nMake it formal.\n")
    return partial(program, "invert")


def test_vectors_of_a_file_become_strings_near_them(run, minilm, tmp_path):
    texts = ["Turn this into a sea shanty", "Summarise the article for a child"]
    np.save(tmp_path / "v.npy", 3.0 * minilm.encode(texts))
    code, out, err = run("v.npy", "--corpus", "some.txt", *OPTIONS, "--out", "found.jsonl")
    assert (code, err) == (0, "")
    rows = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    strings = [row["string"] for row in rows]
    cosines = np.einsum("nd,nd->n", minilm.encode(strings), minilm.encode(texts))
    np.testing.assert_allclose([row["cosine"] for row in rows], cosines, atol=1e-4)
    assert cosines.min() > 0.5
    assert [row["tokens"] for row in rows] == [len(ids) for ids in minilm.tokenize(strings)]
    assert max(row["tokens"] for row in rows) <= 12
    assert "2 strings, cosine" in out


@pytest.mark.usefixtures("minilm")
def test_texts_are_said_in_other_words(run):
    text = "Write the announcement as a pirate would"
    code, out, _ = run(text, "--corpus", "some.txt", *OPTIONS, "--json")
    assert code == 0
    [row] = map(json.loads, out.splitlines())
    assert row["cosine"] > 0.5


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones((1, 5)), "as long as the model's, 384 numbers: found 5"),
        (np.zeros((1, 384)), "vector 0 has length 0"),
        (np.full((1, 384), np.nan), "vector 0 holds NaN"),
    ],
)
@pytest.mark.usefixtures("minilm")
def test_bad_vectors_are_one_line(run, tmp_path, vectors, message):
    np.save(tmp_path / "v.npy", vectors)
    code, out, err = run("v.npy", "--corpus", "some.txt", *OPTIONS)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_vectors_stand_alone_and_nothing_is_overwritten(run, tmp_path):
    np.save(tmp_path / "v.npy", np.ones((1, 384)))
    assert "one file, without anything else" in run("v.npy", "a text")[2]
    code, _, err = run("v.npy", "--out", "some.txt")
    assert (code, "must be a new file" in err) == (2, True)
    assert (tmp_path / "some.txt").read_text().startswith("Rewrite")
