"""A search takes a folder of vectors for the corpus it came from, and holds nothing of it."""

import json
import os
import re
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from mean_prompt import Corpus, Recipe, score
from mean_prompt.corpus import gather
from mean_prompt.corpus.gather import corpus_vectors
from mean_prompt.corpus.vectors.job import embed
from mean_prompt.encoder.cache import VectorCache
from mean_prompt.objective.scs import ExpectedSCS
from mean_prompt.optimize import problem
from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.problem import Problem
from mean_prompt.runs.climbers import team_of
from mean_prompt.runs.inputs import SearchInputs
from mean_prompt.runs.session import SearchSession
from mean_prompt.system.deadline import Deadline, OutOfTimeError
from mean_prompt.system.errors import InputError
from mean_prompt.system.progress import ProgressEvent
from tests.corpus.conftest import PROMPTS, ROWS, SHARD
from tests.fakes import FakeEncoder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of its own for every test."""
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(make):
    return make().out


def everything(corpus, encoder, **more):
    return corpus_vectors(corpus, np.arange(len(corpus)), encoder, **more)


# The corpus


def test_a_folder_is_the_corpus_of_its_file(folder, corpus_file):
    ours, theirs = Corpus.from_files(folder), Corpus.from_files(corpus_file)
    assert ours.prompts == theirs.prompts
    assert np.array_equal(ours.weights, theirs.weights)
    assert ours.content_hash == theirs.content_hash
    assert ours.sources[0].rows == 41
    assert ours.cleaning() == [theirs.cleaning()[0].replace("corpus:", "vectors:")]
    assert ours.cleaning() == [
        "vectors: 36 prompts of 41 rows (2 empty and 3 duplicates dropped, 1 stripped)"
    ]


def test_folders_and_files_are_weighted_as_files_are(folder, corpus_file, write):
    other = write([PROMPTS[0], "story", "story", "poem"], "other.jsonl")
    ours = Corpus.from_files(f"mine={folder}:3", f"{other}:1")
    theirs = Corpus.from_files(f"mine={corpus_file}:3", f"{other}:1")
    assert ours.content_hash == theirs.content_hash
    assert [(row.name, row.weight) for row in ours.sources] == [("mine", 3.0), ("other", 1.0)]
    assert [row.duplicates for row in ours.sources] == [row.duplicates for row in theirs.sources]
    assert len(ours.folders) == 1


def test_a_column_is_chosen_when_a_corpus_is_embedded(folder, make, tmp_path):
    with pytest.raises(InputError, match="embedded with the column that was guessed, not 'style'"):
        Corpus.from_files(folder, column="style")
    named = make(out=tmp_path / "named", column="prompt").out
    assert Corpus.from_files(named, column="prompt").prompts
    with pytest.raises(InputError, match="was embedded with --column prompt, not 'style'"):
        Corpus.from_files(named, column="style")


# Its vectors


def test_vectors_are_those_of_the_folder_in_the_order_asked_for(folder, fake):
    corpus = Corpus.from_files(folder)
    before = fake.encoded
    order = np.random.default_rng(0).permutation(len(corpus))[:30]
    vectors = corpus_vectors(corpus, order, fake)
    assert fake.encoded == before
    expected = fake.encode([corpus.prompts[row] for row in order]).astype(np.float16)
    assert vectors.dtype == np.float16
    assert np.array_equal(vectors, expected)


def test_nothing_of_the_vectors_is_held(folder, fake):
    corpus = Corpus.from_files(folder)
    vectors = everything(corpus, fake)
    assert isinstance(vectors, np.memmap)
    objective = ExpectedSCS(vectors, corpus.weights)
    assert objective.rows(np.array([0])).dtype.is_floating_point
    assert objective._prompts.data_ptr() == vectors.ctypes.data
    assert objective.part(slice(5, None))._prompts.data_ptr() == vectors[5:].ctypes.data


def test_the_map_is_made_once_and_shared(folder, fake, cache, monkeypatch):
    corpus = Corpus.from_files(folder)
    vectors = everything(corpus, fake)
    [path] = (cache / "maps").iterdir()
    assert path.stat().st_size == vectors.nbytes

    monkeypatch.setattr(gather, "_pieces", Mock(side_effect=AssertionError("gathered again")))
    assert np.array_equal(everything(Corpus.from_files(folder), fake), vectors)
    with pytest.raises(AssertionError, match="gathered again"):
        corpus_vectors(corpus, np.arange(7), fake)
    assert list((cache / "maps").iterdir()) == [path]


def test_the_maps_used_last_are_kept(folder, fake, cache):
    corpus = Corpus.from_files(folder)
    (cache / "maps").mkdir(parents=True)
    (cache / "maps" / ".abc.float16").write_bytes(b"what a kill left")
    for time, count in enumerate((10, 11, 12, 13, 10, 14)):
        path = Path(corpus_vectors(corpus, np.arange(count), fake).filename)
        os.utime(path, (time, time))
    sizes = {path.stat().st_size // 12 for path in (cache / "maps").iterdir()}
    assert sizes == {10, 12, 13, 14}


def test_prompts_of_files_beside_a_folder_are_encoded(folder, fake, write, monkeypatch):
    monkeypatch.setattr(gather, "_CHUNK", 2)
    other = write(["story", "poem", PROMPTS[2], "email tone", "make"], "other.jsonl")
    corpus = Corpus.from_files(folder, other)
    before = fake.encoded
    events = []
    vectors = everything(corpus, fake, listener=events.append)
    assert fake.encoded - before == 4
    assert np.array_equal(vectors, fake.encode(corpus.prompts).astype(np.float16))
    assert events == [
        ProgressEvent("embedding", done, 40, "prompts") for done in (10, 19, 29, 36, 38, 40, 40)
    ]


def test_two_folders_are_brought_together(folder, make, write, tmp_path, fake):
    second = make(corpus=write(["story", PROMPTS[4], "poem"], "b.jsonl"), out=tmp_path / "b").out
    corpus = Corpus.from_files(f"{folder}:1", f"{second}:1")
    before = fake.encoded
    vectors = everything(corpus, fake)
    assert fake.encoded == before
    assert np.array_equal(vectors, fake.encode(corpus.prompts).astype(np.float16))


def test_vectors_of_another_model_are_refused_with_both_names(folder):
    corpus, other = Corpus.from_files(folder), FakeEncoder(seed=5)
    names = r"has those of fake \(fake-0-6.*\), and the model is fake \(fake-5-6.*\); name it with"
    for use in (everything, lambda *_: Problem.build(corpus, other, holdout=0.2, seed=0)):
        with pytest.raises(InputError, match=names):
            use(corpus, other)


def test_a_damaged_shard_ends_in_one_line_and_the_deadline_too_without_a_map(folder, fake, cache):
    corpus = Corpus.from_files(folder)
    deadline = Deadline()

    def end(event):
        if event.done > 10:
            deadline.stop()

    with pytest.raises(OutOfTimeError):
        everything(corpus, fake, listener=end, deadline=deadline)
    path = folder / "vectors-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="is not what was written; give the same embed command"):
        everything(corpus, fake)
    assert list((cache / "maps").iterdir()) == []


def test_a_full_disk_ends_in_one_line(folder, fake, monkeypatch):
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(InputError, match=r"needs room on its disk: .*No space left on device"):
        everything(Corpus.from_files(folder), fake)


# The search


def run(corpus, encoder, **recipe):
    plan = Recipe().override(
        constraints={"max_tokens": 6}, search={"max_evaluations": 200, "seed": 3}, **recipe
    )
    with team_of(encoder, 1) as team:
        return SearchSession(SearchInputs(corpus, encoder, plan, Budget(None, 200)), team).run()[0]


def test_a_search_over_a_folder_finds_what_it_finds_over_the_file(folder, corpus_file, monkeypatch):
    """To the last digit, if the file's vectors are kept in half precision too."""
    monkeypatch.setattr(gather, "need_half", lambda *_: True)
    asked = []
    encode = VectorCache.encode

    def watched(self, texts, *args, **options):
        asked.extend(texts)
        return encode(self, texts, *args, **options)

    monkeypatch.setattr(VectorCache, "encode", watched)
    ours = run(Corpus.from_files(folder), FakeEncoder())
    assert asked
    assert not set(PROMPTS) & set(asked)
    theirs = run(Corpus.from_files(corpus_file), FakeEncoder())
    assert ours.string == theirs.string
    for name in ("score", "holdout_score", "ceiling", "evaluations"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.details["corpus"]["hash"] == theirs.details["corpus"]["hash"]


def test_half_precision_changes_a_score_by_less_than_a_ten_thousandth(
    folder, corpus_file, tiny_bert, make
):
    vectors = make(model=tiny_bert, out=folder.with_name("tiny")).out
    strings = ["rewrite the text", "make a poem", *PROMPTS[:5]]
    ours = score(strings, vectors, model=tiny_bert)
    theirs = score(strings, corpus_file, model=tiny_bert)
    for one, other in zip(ours, theirs, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-4)
        assert one.ceiling == pytest.approx(other.ceiling, abs=1e-4)


def test_a_large_folder_is_searched_compressed(tmp_path, fake, monkeypatch):
    monkeypatch.setattr("mean_prompt.objective.compression.COMPRESS_ABOVE", 20)
    monkeypatch.setattr(problem, "_NEAREST", 10)
    path = tmp_path / "many.json"
    path.write_text(json.dumps(ROWS))
    out = embed(path, tmp_path / "many", model=fake, shard=SHARD).out
    found = run(Corpus.from_files(out), fake)
    assert found.details["compression"]["prompts"] > 20
    assert re.search(r"\w", found.string)
