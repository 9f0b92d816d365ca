"""A folder of vectors: taken with a whole manifest alone, and as far as it is what that says."""

import hashlib
import io
import json
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st
from pyarrow import parquet
from safetensors.numpy import save

from mean_prompt.corpus.corpus import Corpus
from mean_prompt.corpus.vectors.folder import VectorFolder
from mean_prompt.corpus.vectors.manifest import MANIFEST, Manifest
from mean_prompt.system.errors import InputError
from tests.corpus.conftest import PROMPTS, stop_after


@pytest.fixture
def folder(make):
    return VectorFolder.open(make().out)


def refusal(path):
    """Return the message of a corpus's refusal: one line that names the place."""
    with pytest.raises(InputError) as caught:
        Corpus.from_files(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def rewrite(folder, change):
    """Change a manifest as somebody with an editor would."""
    path = folder.path / MANIFEST
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def forge(folder, number, kind, data):
    """Put other bytes in the place of a shard's file, and make the manifest agree."""
    name = {"prompts": "prompts-{:05}.parquet", "vectors": "vectors-{:05}.safetensors"}[kind]
    (folder.path / name.format(number)).write_bytes(data)

    def change(manifest):
        manifest["shards"][number]["files"][kind] = hashlib.sha256(data).hexdigest()

    rewrite(folder, change)
    folder.manifest = VectorFolder.open(folder.path).manifest


# What there is


def test_a_folder_gives_back_prompts_counts_and_vectors(folder, fake):
    pairs = list(folder.all_prompts())
    assert dict(pairs) == {**dict.fromkeys(PROMPTS, 1), PROMPTS[30]: 2}
    for number in range(4):
        prompts, _ = folder.prompts(number)
        assert np.array_equal(folder.vectors(number), fake.encode(prompts).astype(np.float16))


def test_the_manifest_says_what_is_there(folder, fake, corpus_file):
    manifest = folder.manifest
    assert manifest.model.content_hash == fake.identity.content_hash
    assert (manifest.dimension, manifest.precision, manifest.column) == (6, "float16", None)
    [source] = manifest.sources
    assert source.path == str(corpus_file)
    assert (source.rows, source.stripped, source.empty, source.duplicates) == (41, 1, 2, 1)
    for number, shard in enumerate(manifest.shards):
        for kind, name in (("prompts", "parquet"), ("vectors", "safetensors")):
            data = (folder.path / f"{kind}-{number:05}.{name}").read_bytes()
            assert hashlib.sha256(data).hexdigest() == getattr(shard.files, kind)
        assert 0 < shard.files.rounding < 2**-11
    assert not re.search(r"\.(parquet|safetensors)", (folder.path / MANIFEST).read_text())


def test_other_folders_are_none(tmp_path):
    assert VectorFolder.open(tmp_path) is None
    assert VectorFolder.open(tmp_path / "gone") is None
    assert VectorFolder.open(tmp_path / ("x" * 300)) is None
    (tmp_path / MANIFEST).write_text('["a prompt", "another"]')
    assert VectorFolder.open(tmp_path) is None
    assert Corpus.from_files(tmp_path).prompts == ("a prompt", "another")


# What is refused


def test_vectors_without_a_whole_manifest_are_refused(folder):
    path = folder.path / MANIFEST
    for kept in (-1, 150, 0):
        path.write_bytes(path.read_bytes()[:kept])
        assert "a manifest must be whole" in refusal(folder.path)
    path.unlink()
    assert "must have its manifest" in refusal(folder.path)
    assert "embed the corpus again into another folder" in refusal(folder.path)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda m: m.update(version=2), "version: Input should be 1"),
        (lambda m: m.pop("model"), "model: Field required"),
        (lambda m: m.update({"a\nb": 1}), "'a\\nb': Extra inputs are not permitted"),
        (lambda m: m.update({"x" * 10**6: 1}), "xxx...: Extra inputs are not permitted"),
        (lambda m: m["shards"][1]["files"].update(vectors="../../x"), "shards.1.files.vectors: "),
    ],
)
def test_a_manifest_with_a_fault_names_it(folder, change, fault):
    rewrite(folder, change)
    message = refusal(folder.path)
    assert re.search(rf"{MANIFEST}: '?x*{re.escape(fault)}", message)
    assert len(message) < 500


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_damage_to_a_manifest_is_noticed_or_harmless(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("vectors")
    (folder / "vectors-00000.safetensors").touch()
    good = Manifest(
        model={"name": "m", "revision": None, "content_hash": "0", "dtype": "float32"},
        dimension=3,
        column=None,
        shard_prompts=5,
        sources=(),
        shards=({"prompts": 5, "texts": "0" * 64},),
    ).model_dump_json(indent=1).encode()  # fmt: skip
    place = data.draw(st.integers(0, len(good) - 1))
    size = data.draw(st.integers(0, 9))
    damaged = good[:place] + data.draw(st.binary(max_size=9)) + good[place + size :]
    (folder / MANIFEST).write_bytes(damaged)
    try:
        found = str(VectorFolder.open(folder).path)
    except InputError as error:
        found = str(error)
    assert str(folder) in found
    assert len(found.splitlines()) == 1


def test_a_folder_that_is_not_complete_is_refused(make):
    begun = make(listener=stop_after(2))
    message = refusal(begun.out)
    assert "must be complete" in message
    assert "lacks 2 of its 4 shards; give the same embed command again" in message


@pytest.mark.parametrize("name", ["prompts-00002.parquet", "vectors-00002.safetensors"])
def test_a_damaged_shard_is_refused_with_the_remedy(folder, name):
    path = folder.path / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    read = folder.prompts if name.startswith("prompts") else folder.vectors
    read(1)
    for damage in (lambda: path.write_bytes(data), lambda: path.write_bytes(b""), path.unlink):
        damage()
        with pytest.raises(InputError, match=re.escape(f"{path}: ")) as caught:
            read(2)
        assert "give the same embed command again, which resumes" in str(caught.value)


@pytest.mark.parametrize(
    ("vectors", "fault"),
    [
        (np.ones((10, 6), np.float16), "not of unit length"),
        (np.full((10, 6), np.nan, np.float16), "not of unit length"),
        (np.eye(10, 6, dtype=np.float32), r"holds no \(10, 6\) vectors in half precision"),
        (np.eye(10, 7, dtype=np.float16), r"holds no \(10, 6\) vectors"),
        (b"no safetensors at all", "[Hh]eader"),
    ],
)
def test_forged_vectors_are_refused(folder, vectors, fault):
    forge(
        folder, 1, "vectors", vectors if isinstance(vectors, bytes) else save({"vectors": vectors})
    )
    with pytest.raises(InputError, match=f"vectors-00001.safetensors: .*{fault}"):
        folder.vectors(1)


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({"prompt": ["a"] * 10, "count": [1] * 10}, "holds other prompts"),
        ({"prompt": ["a"] * 9, "count": [1] * 9}, "must hold 10 prompts with their counts"),
        ({"prompt": ["a"] * 10, "count": [0] * 10}, "must hold 10 prompts with their counts"),
        ({"prompt": [None] * 10, "count": [1] * 10}, "must hold 10 prompts with their counts"),
        (
            {"prompt": ["a"] * 10, "count": [1] * 10, "x": [1] * 10},
            "must have the columns prompt and count",
        ),
        (b"no Parquet at all", "a Parquet file must be well formed"),
    ],
)
def test_forged_prompts_are_refused(folder, columns, fault):
    buffer = io.BytesIO(columns if isinstance(columns, bytes) else b"")
    if not isinstance(columns, bytes):
        parquet.write_table(pa.table(columns), buffer)
    forge(folder, 1, "prompts", buffer.getvalue())
    with pytest.raises(InputError, match=fault):
        folder.prompts(1)
    with pytest.raises(InputError, match=fault):
        Corpus.from_files(folder.path)
