"""Near-duplicates of many prompts: found without comparing all pairs, never made up."""

import json
from unittest.mock import Mock

import numpy as np
import pytest

from benchmarks.grammar import generate
from mean_prompt.corpus import duplicates
from mean_prompt.corpus.corpus import Corpus
from mean_prompt.corpus.duplicates import NEAR_DUPLICATE, joined


@pytest.fixture(scope="module")
def prompts():
    """Prompts of the grammar, near-duplicates of a third of them, and the same in other cases."""
    rng = np.random.default_rng(0)
    made = [row["prompt"] for row in generate(1_500, seed=8)]
    words = [prompt.split() for prompt in made[:500]]
    shorter = [" ".join(np.delete(row, rng.integers(len(row)))) for row in words if len(row) > 4]
    louder = [f"{prompt.upper()}!" for prompt in made[500:700]]
    return tuple(dict.fromkeys([*made, *shorter, *louder]))


def test_few_near_duplicates_are_missed_and_none_made_up(prompts):
    graph = duplicates.near_duplicates(prompts).tocoo()
    labels, along = duplicates.sketch(prompts)
    assert graph.nnz > 500
    assert (labels[graph.row] != labels[graph.col]).mean() < 0.01
    exact = duplicates.groups(prompts)
    for label in np.unique(labels):
        assert len(set(exact[labels == label])) == 1
    # Typicality hardly changes with hashed terms.
    gaps = np.abs(along - duplicates.typicality(prompts))
    assert np.quantile(gaps, 0.98) < 1e-5
    assert gaps.max() < 2e-3


def test_the_same_words_are_always_together(prompts):
    labels, _ = duplicates.sketch(prompts)
    group = dict(zip(prompts, labels, strict=True))
    louder = [prompt for prompt in prompts if prompt.isupper() or prompt.endswith("!")]
    same = {prompt.lower().rstrip(".!?"): label for prompt, label in group.items()}
    assert len(louder) > 150
    assert all(group[prompt] == same[prompt.lower().rstrip(".!?")] for prompt in louder)


def test_equal_rows_are_joined_even_where_no_band_brings_them_together(monkeypatch):
    monkeypatch.setattr("mean_prompt.corpus.duplicates._BANDS", 0)
    vectors = duplicates.tfidf(("one two", "Two one", "one two!", "three", "ONE TWO"))
    labels = joined(vectors, lambda pairs: duplicates.cosines(vectors, pairs) >= NEAR_DUPLICATE)
    assert labels[0] == labels[2] == labels[4]
    assert len(set(labels)) == 3


def test_a_large_corpus_is_split_by_the_sketch_which_is_kept(prompts, monkeypatch, tmp_path):
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(tmp_path))
    assert len(Corpus.from_prompts(prompts).cleaning()) == 1
    monkeypatch.setattr(duplicates, "COMPARED_UP_TO", 1_000)
    large = Corpus.from_prompts(prompts)
    assert "misses about one pair in a thousand" in large.cleaning()[-1]
    split = large.split(0.2)
    groups = large.groups()
    assert set(groups[split.train]).isdisjoint(groups[split.holdout])
    assert len(split.holdout) / len(large) == pytest.approx(0.2, abs=0.03)

    monkeypatch.setattr(duplicates, "sketch", Mock(side_effect=AssertionError("computed again")))
    assert np.array_equal(Corpus.from_prompts(prompts).groups(), groups)
    assert np.array_equal(Corpus.from_prompts(prompts).split(0.2).holdout, split.holdout)
    with pytest.raises(AssertionError, match="computed again"):
        Corpus.from_prompts([*prompts, json.dumps("another")]).groups()
