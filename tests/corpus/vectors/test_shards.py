"""Shards of a corpus: the same for the same texts, whatever the file; everything is counted."""

import json

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mean_prompt.corpus.sources import parse_source
from mean_prompt.corpus.vectors import shards as module
from mean_prompt.corpus.vectors.shards import (
    UNIT_TOLERANCE,
    Shard,
    Stream,
    are_unit,
    encode_halves,
)
from mean_prompt.system.errors import RunError
from tests.corpus.conftest import PROMPTS, ROWS


def shards(*paths, size=10, column=None):
    found = Stream([parse_source(str(path)) for path in paths], column, size)
    return list(found), found.sources


def test_prompts_are_cleaned_merged_within_a_shard_and_counted(corpus_file):
    found, [source] = shards(corpus_file)
    assert [len(shard.prompts) for shard in found] == [10, 10, 10, 8]
    assert (source.rows, source.stripped, source.empty, source.duplicates) == (41, 1, 2, 1)
    # The repeat that comes within its shard is merged there, the others are where they stand.
    assert [prompt for shard in found for prompt in shard.prompts] == [
        *PROMPTS[:15], PROMPTS[3], *PROMPTS[15:], PROMPTS[0],
    ]  # fmt: skip
    assert [sum(shard.counts) for shard in found] == [10, 10, 10, 9]
    assert found[3].counts[found[3].prompts.index(PROMPTS[30])] == 2


def test_the_same_texts_make_the_same_shards_in_any_files(write, tmp_path):
    whole, _ = shards(write(ROWS))
    first, second = write(ROWS[:13], "a.jsonl"), tmp_path / "b.txt"
    rows = [row.replace("\n", "") for row in ROWS[13:]]
    second.write_text("\n".join(rows) + "\n")
    parts, sources = shards(first, second)
    assert [shard.digest for shard in parts] == [shard.digest for shard in whole]
    assert [source.rows for source in sources] == [13, 28]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["a", "b ", "b", "c", "", " ", "d"])), st.integers(1, 4))
def test_no_row_is_lost(tmp_path_factory, rows, size):
    path = tmp_path_factory.mktemp("rows") / "a.json"
    path.write_text(json.dumps(rows))
    found, [source] = shards(path, size=size)
    kept = [row.strip() for row in rows if row.strip()]
    assert sum(sum(shard.counts) for shard in found) == len(kept)
    assert source.rows == len(rows)
    assert source.rows - source.empty - source.duplicates == sum(len(s.prompts) for s in found)
    assert all(len(set(shard.prompts)) == len(shard.prompts) <= size for shard in found)
    assert all(len(shard.prompts) == size for shard in found[:-1])


def test_long_prompts_end_a_shard_early(write, monkeypatch):
    monkeypatch.setattr(module, "_CHARACTERS", 100)
    found, _ = shards(write([f"{number} {'x' * 60}" for number in range(5)]))
    assert [len(shard.prompts) for shard in found] == [2, 2, 1]


def test_a_digest_is_of_texts_counts_and_their_order():
    known = Shard(0, ("a", "b"), (1, 1)).digest
    assert known == Shard(7, ("a", "b"), (1, 1)).digest
    for prompts, counts in ((("b", "a"), (1, 1)), (("a", "b"), (1, 2)), (("a\n1 1\nb",), (1,))):
        assert Shard(0, prompts, counts).digest != known


def test_some_shards_are_read_no_further_than_it_must(corpus_file, tmp_path):
    sources = (parse_source(str(corpus_file)), parse_source(str(tmp_path / "gone.csv")))
    assert [shard.number for shard in Stream(sources, None, 10).some([0, 2])] == [0, 2]
    assert list(Stream(sources, None, 10).some([])) == []


# Their vectors in half precision


@pytest.mark.parametrize("dimension", [1, 3, 384])
def test_no_unit_vector_is_refused_for_its_rounding(dimension):
    rng = np.random.default_rng(dimension)
    vectors = rng.standard_normal((2_000, dimension)) * rng.choice([1e-6, 1, 30], (2_000, 1))
    vectors[:, 0] *= rng.choice([1, 1e4], 2_000)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    assert are_unit(vectors.astype(np.float16)).all()


def test_the_worst_rounding_is_within_the_tolerance_and_no_more():
    worst = np.float32(1 - 2**-12 + 1e-9)  # halfway between two numbers of half precision
    assert abs(float(np.float16(worst)) - worst) <= UNIT_TOLERANCE
    off = np.array([[1.0, 0.04], [0.9985, 0.0], [np.nan, 1], [np.inf, 0], [0, 0]], np.float16)
    assert not are_unit(off).any()


def test_rounding_is_measured_and_what_is_cut_counted(fake):
    prompts = ["rewrite the text", "make a poem"]
    encoded = encode_halves(fake, prompts)
    assert encoded.vectors.dtype == np.float16
    gap = np.abs(encoded.vectors.astype(np.float32) - fake.encode(prompts)).max()
    assert encoded.rounding == gap > 0
    assert encode_halves(fake, ["the " * 16, "the " * 17, "poem"]).cut == 1


@pytest.mark.parametrize(
    ("fault", "found"), [(np.nan, "nan"), (np.inf, "(inf|nan)"), (0.0, "0"), (1.01, r"1\.\d+")]
)
def test_vectors_that_are_of_no_use_name_the_prompt(fake, monkeypatch, fault, found):
    encode = fake.encode_ids

    def broken(ids):
        vectors = encode(ids)
        vectors[1] *= fault
        return vectors

    monkeypatch.setattr(fake, "encode_ids", broken)
    with pytest.raises(RunError, match=rf"fake gave a length of {found} for 'make a poem'; choose"):
        encode_halves(fake, ["rewrite the text", "make a poem", "story"])
