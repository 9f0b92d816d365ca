"""A corpus: what cleaning does and says, what weights mean, and a hold-out that leaks nothing."""

import json
import math
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from benchmarks.grammar import generate
from mean_prompt.corpus import duplicates
from mean_prompt.corpus.corpus import Corpus
from mean_prompt.corpus.duplicates import NEAR_DUPLICATE
from mean_prompt.corpus.sources import default_corpus_folder
from mean_prompt.system.data import shipped_folder
from mean_prompt.system.errors import InputError

PROMPTS = [row["prompt"] for row in generate(300, seed=11)]


def jsonl_file(path, prompts):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps({"prompt": prompt}) for prompt in prompts))
    return path


@pytest.fixture
def two(tmp_path):
    """Return two files: three rows and one row."""
    return (
        jsonl_file(tmp_path / "a.jsonl", ["alpha", "beta", "gamma"]),
        jsonl_file(tmp_path / "b.jsonl", ["delta"]),
    )


def shares(corpus):
    return dict(zip(corpus.prompts, corpus.weights.round(12).tolist(), strict=True))


# Weights


def test_weights_are_shares_however_many_rows_there_are(two):
    a, b = two
    corpus = Corpus.from_files(a, b)
    assert shares(corpus) == dict.fromkeys(["alpha", "beta", "gamma", "delta"], 0.25)
    corpus = Corpus.from_files(f"{a}:1", f"{b}:3")
    assert shares(corpus)["delta"] == 0.75
    assert shares(corpus)["alpha"] == round(0.25 / 3, 12)


def test_either_all_corpora_have_weights_or_none(two):
    a, b = two
    for specs in ((a, f"{b}:2"), (f"{b}:2", a)):
        with pytest.raises(InputError, match=rf"a weight, or none: {a} has none"):
            Corpus.from_files(*specs)


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf", "three", ""])
def test_bad_weight_is_named(two, weight):
    with pytest.raises(InputError, match=r"must be a positive number: found") as caught:
        Corpus.from_files(f"{two[0]}:{weight}")
    assert repr(weight) in str(caught.value)


@pytest.mark.parametrize("name", ["x=y.jsonl", "2024:01/a.jsonl", "x=1:2", "a.jsonl:3"])
@pytest.mark.parametrize("form", ["{}", "{}:2", "n={}", "n={}:2"])
def test_paths_may_hold_what_specs_are_made_of(tmp_path, monkeypatch, name, form):
    monkeypatch.chdir(tmp_path)
    path = Path(name) if name.endswith("jsonl") else Path(name) / "a.jsonl"
    jsonl_file(path, ["alpha", "beta"])
    [source] = Corpus.from_files(form.format(name)).sources
    assert source.path == name
    assert source.weight == (2.0 if form.endswith(":2") else None)
    assert source.name == "n" if form.startswith("n=") else Path(name).stem


def test_path_that_exists_goes_before_its_reading_as_name_and_weight(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jsonl_file(tmp_path / "a.jsonl", ["wrong", "file"])
    jsonl_file(tmp_path / "n=a.jsonl", ["right", "one"])
    assert Corpus.from_files("n=a.jsonl").prompts == ("right", "one")


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    jsonl_file(tmp_path / "a.jsonl", ["alpha", "beta"])
    for spec in ("~/a.jsonl", "n=~/a.jsonl:2"):
        assert len(Corpus.from_files(spec)) == 2


@pytest.mark.parametrize(
    "spec", ["gone.csv", "n=gone.csv:2", "~no-user-of-that-name/a.csv", "http://host/a.csv"]
)
def test_missing_file_is_refused(spec):
    with pytest.raises(InputError, match=r"a file of prompts must exist: found no file or folder "):
        Corpus.from_files(spec)
    with pytest.raises(InputError, match="must be readable: Rewrite this"):
        Corpus.from_files("Rewrite this text. " * 50)


def test_column_is_passed_on(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt,style\none,terse\ntwo,polite\n")
    assert Corpus.from_files(path, column="style").prompts == ("terse", "polite")
    with pytest.raises(InputError, match=r"has prompt, style, not 'x'"):
        Corpus.from_files(path, column="x")


# Cleaning


def test_cleaning_is_counted(tmp_path):
    rows = [" alpha", "alpha", "beta\n", "", "  ", "gamma", "gamma", "gamma "]
    corpus = Corpus.from_files(jsonl_file(tmp_path / "a.jsonl", rows))
    [source] = corpus.sources
    assert corpus.prompts == ("alpha", "beta", "gamma")
    assert (source.rows, source.stripped, source.empty, source.duplicates) == (8, 3, 2, 3)
    assert corpus.cleaning() == [
        "a: 3 prompts of 8 rows (2 empty and 3 duplicates dropped, 3 stripped)"
    ]


def test_repeats_across_files_are_counted_where_they_repeat(tmp_path):
    a = jsonl_file(tmp_path / "a.jsonl", ["alpha", "beta"])
    b = jsonl_file(tmp_path / "b.jsonl", ["beta", "gamma", "gamma"])
    corpus = Corpus.from_files(f"{a}:1", f"{b}:1")
    assert sum(source.kept for source in corpus.sources) == len(corpus)
    assert corpus.cleaning()[1] == (
        "b: 1 prompts of 3 rows (0 empty and 2 duplicates dropped, 0 stripped, weight 1)"
    )


ROWS = st.lists(
    st.sampled_from(["alpha", " alpha", "beta", "beta\n", "gamma", "", " ", "delta"]), min_size=1
)


@given(
    ROWS, st.dictionaries(st.sampled_from(["alpha", "beta", "gamma", "delta"]), st.floats(-1, 1))
)
def test_expectation_over_the_corpus_is_the_expectation_over_the_rows(rows, values):
    kept = [row.strip() for row in rows if row.strip()]
    if len(set(kept)) < 2:
        return
    corpus = Corpus.from_prompts(rows)
    over_rows = np.mean([values.get(row, 0.0) for row in kept])
    over_corpus = corpus.weights @ [values.get(prompt, 0.0) for prompt in corpus.prompts]
    assert math.isclose(over_corpus, over_rows, abs_tol=1e-12)
    assert math.isclose(corpus.weights.sum(), 1.0)
    assert len(set(corpus.prompts)) == len(corpus) == len(set(kept))


def test_repeats_between_weighted_files_keep_the_shares(tmp_path):
    a = jsonl_file(tmp_path / "a.jsonl", ["alpha", "alpha", "beta", ""])
    b = jsonl_file(tmp_path / "b.jsonl", ["beta"])
    corpus = Corpus.from_files(f"{a}:3", f"{b}:1")
    assert shares(corpus) == {"alpha": 0.5, "beta": 0.5}  # of 3/4: 2/3 and 1/3; 1/4 more for beta


def test_weights_of_strings_in_memory_add_up_too():
    corpus = Corpus.from_prompts(["alpha", "beta", " alpha", "gamma"], weights=[1, 2, 1, 0])
    assert shares(corpus) == {"alpha": 0.5, "beta": 0.5}


@pytest.mark.parametrize(
    ("weights", "fault"),
    [
        ([1, 1], "one weight: found 2 for 3 prompts"),
        ([1, -1, 1], "numbers of at least 0"),
        ([1, math.nan, 1], "numbers of at least 0"),
        ([0, 0, 0], "none with text and weight"),
    ],
)
def test_bad_weights_of_strings_in_memory_are_refused(weights, fault):
    with pytest.raises(InputError, match=fault):
        Corpus.from_prompts(["alpha", "beta", "gamma"], weights=weights)


# Too little


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "prompt\n"),
        ("a.txt", ""),
        ("a.jsonl", '{"prompt": ""}\n{"prompt": null}\n'),
    ],
)
def test_empty_corpus_is_refused(two, tmp_path, name, text):
    (tmp_path / "empty").mkdir()
    path = tmp_path / "empty" / name
    path.write_text(text)
    for others in ((), two):
        with pytest.raises(
            InputError, match=rf"must hold prompts: {path} has \d rows, none with text"
        ):
            Corpus.from_files(*others, path)


@pytest.mark.parametrize("rows", [["alpha"], ["alpha", " alpha\n", ""]])
def test_corpus_of_one_prompt_is_refused(tmp_path, rows):
    path = jsonl_file(tmp_path / "a.jsonl", rows)
    with pytest.raises(InputError, match=rf"at least two different prompts: {path} holds 1; give"):
        Corpus.from_files(path)


# The hash


def test_hash_is_of_content_not_of_names(tmp_path):
    a = jsonl_file(tmp_path / "a.jsonl", PROMPTS[:5])
    (tmp_path / "b.txt").write_text("\n".join(PROMPTS[:5]))
    digest = Corpus.from_files(a).content_hash
    assert digest == Corpus.from_files(tmp_path / "b.txt").content_hash
    assert digest == Corpus.from_prompts(PROMPTS[:5]).content_hash
    assert len(digest) == 64


@pytest.mark.parametrize(
    ("prompts", "weights"),
    [
        (["alpha", "beta\ngamma"], [1, 2]),
        (["alpha", "beta\ngamma."], None),
        (["beta\ngamma", "alpha"], None),
        (["alpha", "beta\ngamma", "delta"], None),
        (["alpha\nbeta", "gamma"], None),
    ],
    ids=["weights", "a character", "order", "another prompt", "the place of a newline"],
)
def test_hash_changes_with(prompts, weights):
    base = Corpus.from_prompts(["alpha", "beta\ngamma"])
    assert Corpus.from_prompts(prompts, weights=weights).content_hash != base.content_hash


# Near-duplicates


def cosines(prompts):
    """Return the (N, N) cosines, term by term: the slow oracle of the blocked product."""
    counts = []
    for prompt in prompts:
        words = re.findall(r"\w+", prompt.lower())
        counts.append(Counter(words) + Counter(pairwise(words)))
    holders = Counter(term for count in counts for term in count)
    vectors = []
    for count in counts:
        row = {
            term: (1 + math.log(times)) * (1 + math.log((1 + len(counts)) / (1 + holders[term])))
            for term, times in count.items()
        }
        norm = math.sqrt(sum(value**2 for value in row.values()))
        vectors.append({term: value / norm for term, value in row.items()})
    return np.array(
        [[sum(v * b.get(t, 0.0) for t, v in a.items()) for b in vectors] for a in vectors]
    )


def test_groups_match_exhaustive_comparison(monkeypatch):
    longer = [f"{prompt} please" for prompt in PROMPTS[:40]]
    shorter = [" ".join(prompt.split()[:-3]) for prompt in PROMPTS[20:60]]
    corpus = Corpus.from_prompts([*PROMPTS[:120], *longer, *shorter])
    similar = cosines(corpus.prompts)
    near = similar >= NEAR_DUPLICATE
    assert np.any((similar > 0.75) & ~near)
    assert np.any((similar < 0.85) & near)
    expected = np.arange(len(corpus))
    for _ in range(len(corpus)):
        expected = np.array([expected[row].min() for row in near])
    monkeypatch.setattr(duplicates, "_BLOCK", 70)
    monkeypatch.setattr(duplicates, "_PAIRS", 50)
    found = duplicates.near_duplicates(corpus.prompts).toarray()
    assert found.tolist() == np.triu(near, 1).tolist()
    groups = corpus.groups()
    assert len(set(zip(groups, expected, strict=True))) == len(set(groups)) == len(set(expected))
    assert len(set(groups)) < len(corpus)


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("Rewrite this as a poem.", "rewrite THIS as a poem!", True),
        ("Rewrite this as a poem.", "Write an email to my landlord", False),
        ("!!!", "???", False),
        ("!!! ???", "!!!  ???", True),
        ("🦜🦜", "\u200b", False),
    ],
)
def test_near_duplicates(one, other, near):
    groups = Corpus.from_prompts([one, other, *PROMPTS[:20]]).groups()
    assert (groups[0] == groups[1]) == near


SAME_WORDS = (
    str.upper,
    lambda text: f'"{text}!"',
    lambda text: text.replace(" ", "  "),
    lambda text: text.replace(",", ""),
)


@settings(deadline=None, max_examples=15)
@given(
    st.lists(st.sampled_from(PROMPTS), min_size=4, max_size=20, unique=True),
    st.lists(st.tuples(st.integers(0, 99), st.sampled_from(SAME_WORDS)), max_size=20),
    st.floats(0.05, 0.9),
    st.integers(0, 2**32 - 1),
)
def test_near_duplicates_are_never_on_both_sides(prompts, edits, holdout, seed):
    edited = [edit(prompts[index % len(prompts)]) for index, edit in edits]
    corpus = Corpus.from_prompts([*prompts, *edited])
    if len(set(corpus.groups())) < 2:
        return
    split = corpus.split(holdout, seed=seed)
    assert sorted([*split.train, *split.holdout]) == list(range(len(corpus)))
    train, aside = (
        {tuple(re.findall(r"\w+", corpus.prompts[row].lower())) for row in rows}
        for rows in (split.train, split.holdout)
    )
    assert train
    assert aside
    assert train.isdisjoint(aside)
    across = cosines(corpus.prompts)[np.ix_(split.train, split.holdout)]
    assert across.max() < NEAR_DUPLICATE + 1e-6


# Splits


@pytest.fixture(scope="module")
def corpus():
    return Corpus.from_prompts(PROMPTS)


def test_share_is_about_what_was_asked_for_and_a_seed_decides_the_split(corpus):
    for holdout in (0.1, 0.9):
        split = corpus.split(holdout)
        assert len(split.holdout) / len(corpus) == pytest.approx(holdout, abs=0.03)
    one, same, other = (corpus.split(0.2, seed=seed).holdout.tolist() for seed in (3, 3, 4))
    assert one == same != other


def test_given_groups_are_kept_together(corpus):
    groups = np.arange(len(corpus)) % 10
    split = corpus.split(0.3, groups=groups)
    assert set(groups[split.train]).isdisjoint(groups[split.holdout])
    assert len(set(groups[split.holdout])) == 3
    nothing = corpus.split(0)
    assert nothing.train.tolist() == list(range(len(corpus)))
    assert len(nothing.holdout) == 0
    assert nothing.holdout.dtype == nothing.train.dtype


@pytest.mark.parametrize("holdout", [0.01, 0.6, 0.9])
@pytest.mark.parametrize("count", [2, 9])
def test_small_corpora_keep_a_prompt_on_each_side(holdout, count):
    split = Corpus.from_prompts(PROMPTS[:count]).split(holdout, groups=np.arange(count))
    assert len(split.train) >= 1
    assert len(split.holdout) >= 1


def test_all_near_duplicates_cannot_be_split():
    corpus = Corpus.from_prompts(["Make it formal", "make it formal", "MAKE IT FORMAL"])
    with pytest.raises(InputError, match=r"all 3 are near-duplicates .* set the hold-out to 0"):
        corpus.split(0.2)
    assert len(corpus.split(0).train) == 3


# The corpus that is used when none is given


def test_folder_of_the_working_directory_goes_before_the_packaged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_corpus_folder() == shipped_folder("corpora")
    jsonl_file(tmp_path / "corpora" / "mine.jsonl", ["alpha", "beta"])
    assert Corpus.from_files(default_corpus_folder()).prompts == ("alpha", "beta")


def test_packaged_corpus_is_clean():
    corpus = Corpus.from_files(shipped_folder("corpora"))
    [source] = corpus.sources
    assert len(corpus) > 3_000
    assert source.empty == source.stripped == 0


def test_both_sides_are_equally_typical_of_the_corpus():
    common = [f"rewrite this text in the tone of number {number}" for number in range(100)]
    rare = [f"zeta{number} omega{number} kappa{number}" for number in range(100)]
    corpus = Corpus.from_prompts(common + rare)
    for seed in range(5):
        held_out = corpus.split(0.2, groups=np.arange(200), seed=seed).holdout
        assert sum(row < 100 for row in held_out) == 20
