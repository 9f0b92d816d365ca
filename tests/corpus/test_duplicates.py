"""Near-duplicates of many prompts: found without comparing all pairs, never made up."""

import json

import numpy as np
import pytest

from benchmarks.grammar import generate
from mean_prompt.corpus import duplicates
from mean_prompt.corpus.corpus import Corpus
from mean_prompt.corpus.duplicates import NEAR_DUPLICATE
from mean_prompt.corpus.minhash import joined


@pytest.fixture(scope="module")
def prompts():
    """Prompts of the grammar, near-duplicates of a third of them, and the same in other cases."""
    rng = np.random.default_rng(0)
    made = [row["prompt"] for row in generate(1_500, seed=8)]
    words = [prompt.split() for prompt in made[:500]]
    shorter = [" ".join(np.delete(row, rng.integers(len(row)))) for row in words if len(row) > 4]
    louder = [f"{prompt.upper()}!" for prompt in made[500:700]]
    return tuple(dict.fromkeys([*made, *shorter, *louder]))


@pytest.fixture(scope="module")
def pairs(prompts):
    """All near-duplicates, from comparing all pairs."""
    graph = duplicates.near_duplicates(prompts).tocoo()
    return np.stack([graph.row, graph.col])


def test_few_near_duplicates_are_missed(prompts, pairs):
    labels, _ = duplicates.sketch(prompts)
    apart = labels[pairs[0]] != labels[pairs[1]]
    assert pairs.shape[1] > 500
    assert apart.mean() < 0.01


def test_what_is_joined_are_near_duplicates_chained(prompts):
    exact = duplicates.groups(prompts)
    labels, _ = duplicates.sketch(prompts)
    for label in np.unique(labels):
        assert len(set(exact[labels == label])) == 1


def test_the_same_words_are_always_together(prompts):
    labels, _ = duplicates.sketch(prompts)
    group = dict(zip(prompts, labels, strict=True))
    louder = [prompt for prompt in prompts if prompt.isupper() or prompt.endswith("!")]
    same = {prompt.lower().rstrip(".!?"): label for prompt, label in group.items()}
    assert len(louder) > 150
    assert all(group[prompt] == same[prompt.lower().rstrip(".!?")] for prompt in louder)


def test_equal_rows_are_joined_even_where_no_band_brings_them_together(monkeypatch):
    monkeypatch.setattr("mean_prompt.corpus.minhash._BANDS", 0)
    vectors = duplicates.tfidf(("one two", "Two one", "one two!", "three", "ONE TWO"))
    labels = joined(vectors, lambda pairs: duplicates.cosines(vectors, pairs) >= NEAR_DUPLICATE)
    assert labels[0] == labels[2] == labels[4]
    assert len(set(labels)) == 3


def test_typicality_hardly_changes_with_hashed_terms(prompts):
    _, along = duplicates.sketch(prompts)
    gaps = np.abs(along - duplicates.typicality(prompts))
    assert np.quantile(gaps, 0.98) < 1e-5
    assert gaps.max() < 2e-3


def test_a_large_corpus_is_split_by_the_sketch_and_says_so(prompts, monkeypatch, tmp_path):
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(tmp_path))
    small = Corpus.from_prompts(prompts)
    assert len(small.cleaning()) == 1
    monkeypatch.setattr(duplicates, "COMPARED_UP_TO", 1_000)
    large = Corpus.from_prompts(prompts)
    assert "misses about one pair in a thousand" in large.cleaning()[-1]
    split = large.split(0.2, seed=1)
    groups = large.groups()
    assert set(groups[split.train]).isdisjoint(groups[split.holdout])
    assert len(split.holdout) / len(large) == pytest.approx(0.2, abs=0.03)


def test_what_was_found_in_a_large_corpus_is_kept(prompts, monkeypatch, tmp_path):
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(tmp_path))
    monkeypatch.setattr(duplicates, "COMPARED_UP_TO", 1_000)
    corpus = Corpus.from_prompts(prompts)
    groups = corpus.groups()
    split = corpus.split(0.2)

    def again(_prompts):
        raise AssertionError("computed again")

    monkeypatch.setattr(duplicates, "sketch", again)
    assert np.array_equal(Corpus.from_prompts(prompts).groups(), groups)
    assert np.array_equal(Corpus.from_prompts(prompts).split(0.2).holdout, split.holdout)
    with pytest.raises(AssertionError, match="computed again"):
        Corpus.from_prompts([*prompts, json.dumps("another")]).groups()
