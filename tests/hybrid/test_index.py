"""The index: as good as exhaustive search, and never trusted without its manifest."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest

from mean_prompt.hybrid import index as module
from mean_prompt.hybrid.index import APPROXIMATE_ABOVE, Manifest, VectorIndex, choose_kind
from mean_prompt.hybrid.keys import normalized
from mean_prompt.system.errors import InputError


def unit(count, dimension=16, seed=0):
    return normalized(np.random.default_rng(seed).standard_normal((count, dimension)))


def exhaustive(vectors, queries, k):
    """Return cosines and numbers of the nearest, by comparing with all."""
    cosines = queries @ vectors.T
    numbers = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(cosines, numbers, axis=1), numbers


class TestSearch:
    def test_exact_is_exhaustive_search(self):
        vectors, queries = unit(700), unit(40, seed=1)
        cosines, numbers = VectorIndex(vectors).search(queries, 20)
        expected, nearest = exhaustive(vectors, queries, 20)
        np.testing.assert_array_equal(numbers, nearest)
        np.testing.assert_allclose(cosines, expected, atol=1e-6)
        assert numbers.dtype == np.int64

    @pytest.mark.parametrize(("kind", "recall"), [("ivf", 0.6), ("hnsw", 0.95)])
    def test_approximate_is_close_to_exhaustive_search(self, kind, recall):
        # Around 40 points, as prompts are around what they ask for.
        rng = np.random.default_rng(0)
        middles, of = unit(40, seed=2), rng.integers(40, size=3_000)
        vectors = normalized(middles[of] + 0.1 * rng.standard_normal((3_000, 16)))
        queries = normalized(middles + 0.1 * rng.standard_normal((40, 16)))
        cosines, numbers = VectorIndex(vectors, kind).search(queries, 10)
        _, nearest = exhaustive(vectors, queries, 10)
        found = [len(set(a) & set(b)) / 10 for a, b in zip(numbers, nearest, strict=True)]
        assert np.mean(found) >= recall
        there = numbers >= 0
        own = np.einsum("md,mkd->mk", queries, vectors[numbers])
        np.testing.assert_allclose(cosines[there], own[there], atol=1e-6)
        assert (np.diff(cosines, axis=1) <= 1e-6).all()

    @pytest.mark.parametrize("kind", ["exact", "hnsw"])
    def test_more_neighbours_than_vectors_are_all_of_them(self, kind):
        vectors = unit(5)
        cosines, numbers = VectorIndex(vectors, kind).search(vectors, 64)
        assert numbers.shape == cosines.shape == (5, 5)
        assert [sorted(row) for row in numbers] == [list(range(5))] * 5

    def test_a_cell_with_fewer_vectors_leaves_the_rest_unfound(self):
        # 100 vectors in 40 cells of which two are visited: some five of them are looked at.
        vectors = unit(100)
        cosines, numbers = VectorIndex(vectors, "ivf").search(unit(20, seed=1), 50)
        missing = numbers < 0
        assert missing.any(axis=1).all()
        assert (numbers[:, 0] >= 0).all()
        assert (cosines[missing] == -1).all()
        assert (cosines[~missing] > -1).all()
        # They stand at the end of a row.
        assert (np.diff(missing.astype(int), axis=1) >= 0).all()
        for row in numbers:
            found = row[row >= 0]
            assert len(set(found)) == len(found)

    @pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
    def test_a_single_vector_is_found(self, kind, capfd):
        index = VectorIndex(unit(1), kind)
        assert index.search(unit(1), 3)[1].tolist() == [[0]]
        assert len(index) == 1
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("shape", [(0, 4), (4,)])
    def test_no_vectors_are_refused(self, shape):
        with pytest.raises(ValueError, match=r"an index needs \(n, f\) vectors with n >= 1"):
            VectorIndex(np.zeros(shape, np.float32))

    def test_the_kind_goes_by_the_number_of_vectors(self, monkeypatch):
        assert choose_kind(APPROXIMATE_ABOVE) == "exact"
        assert choose_kind(APPROXIMATE_ABOVE + 1) == "ivf"
        assert VectorIndex(unit(9)).kind == "exact"
        monkeypatch.setattr(module, "APPROXIMATE_ABOVE", 8)
        assert VectorIndex(unit(9)).kind == "ivf"


def rewrite_manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def flip_a_vector(folder):
    path = folder / "index.faiss"
    content = bytearray(path.read_bytes())
    content[-8] ^= 0xFF
    path.write_bytes(bytes(content))


DAMAGE = {
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "there was none"),
    "no index": (lambda f: (f / "index.faiss").unlink(), "there was none"),
    "torn manifest": (
        lambda f: (f / "manifest.json").write_text((f / "manifest.json").read_text()[:40]),
        "it could not be read: ",
    ),
    "binary manifest": (
        lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe\x00"),
        "it could not be read: ",
    ),
    "manifest is a list": (
        lambda f: (f / "manifest.json").write_text("[]"),
        "it is of another model, data, key, kind, vectors, dimension, faiss",
    ),
    "other faiss": (lambda f: rewrite_manifest(f, faiss="1.0"), "it is of another faiss"),
    "other kind": (lambda f: rewrite_manifest(f, kind="hnsw"), "it is of another kind"),
    "other sizes": (
        lambda f: rewrite_manifest(f, vectors=29, dimension=15),
        "it is of another vectors, dimension",
    ),
    "no checksum": (lambda f: rewrite_manifest(f, sha256=None), "its file is damaged"),
    "a flipped byte of a vector": (flip_a_vector, "its file is damaged"),
    "cut short": (
        lambda f: (f / "index.faiss").write_bytes((f / "index.faiss").read_bytes()[:-10]),
        "its file is damaged",
    ),
    "empty": (lambda f: (f / "index.faiss").write_bytes(b""), "its file is damaged"),
}


class TestKeeping:
    @pytest.fixture
    def vectors(self):
        return unit(30)

    @pytest.fixture
    def manifest(self, vectors):
        return Manifest.of(vectors, model="m", data="d", key="raw rewritten")

    @staticmethod
    def unexpected():
        raise AssertionError("the index was built anew")

    def test_a_manifest_says_what_an_index_holds(self, manifest):
        assert (manifest.kind, manifest.vectors, manifest.dimension) == ("exact", 30, 16)
        assert manifest.faiss == faiss.__version__

    def test_what_matches_is_not_built_again(self, tmp_path, vectors, manifest):
        folder = tmp_path / "deep" / "index"
        built, reason = VectorIndex.open_or_build(folder, manifest, lambda: vectors)
        assert reason == "there was none"
        kept, reason = VectorIndex.open_or_build(folder, manifest, self.unexpected)
        assert reason is None
        assert len(kept) == 30
        assert kept.kind == "exact"
        for one, other in zip(kept.search(vectors, 7), built.search(vectors, 7), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_an_approximate_index_visits_as_many_cells_as_before(self, tmp_path, vectors, manifest):
        manifest = replace(manifest, kind="ivf", vectors=300)
        built, _ = VectorIndex.open_or_build(tmp_path, manifest, lambda: unit(300))
        kept, reason = VectorIndex.open_or_build(tmp_path, manifest, self.unexpected)
        assert reason is None
        for one, other in zip(kept.search(vectors, 40), built.search(vectors, 40), strict=True):
            np.testing.assert_array_equal(one, other)

    @pytest.mark.parametrize("field", ["model", "data", "key"])
    def test_an_index_of_something_else_is_built_anew(self, tmp_path, vectors, manifest, field):
        VectorIndex.open_or_build(tmp_path, manifest, lambda: unit(30, seed=9))
        other = replace(manifest, **{field: "another"})
        index, reason = VectorIndex.open_or_build(tmp_path, other, lambda: vectors)
        assert reason == f"it is of another {field}"
        np.testing.assert_array_equal(index.search(vectors, 1)[1][:, 0], np.arange(30))
        assert VectorIndex.open_or_build(tmp_path, other, self.unexpected)[1] is None

    @pytest.mark.parametrize("damage", DAMAGE)
    def test_a_damaged_index_is_built_anew(self, tmp_path, vectors, manifest, damage):
        VectorIndex.open_or_build(tmp_path, manifest, lambda: vectors)
        harm, told = DAMAGE[damage]
        harm(tmp_path)
        index, reason = VectorIndex.open_or_build(tmp_path, manifest, lambda: vectors)
        assert reason.startswith(told)
        np.testing.assert_array_equal(index.search(vectors, 1)[1][:, 0], np.arange(30))
        assert VectorIndex.open_or_build(tmp_path, manifest, self.unexpected)[1] is None

    def test_a_manifest_that_promises_more_than_its_file_holds(self, tmp_path, vectors, manifest):
        VectorIndex(vectors[:20]).save(tmp_path, manifest)
        index, reason = VectorIndex.open_or_build(tmp_path, manifest, lambda: vectors)
        assert reason == "its file is not the manifest's"
        assert len(index) == 30

    def test_a_manifest_made_to_match_a_file_that_is_no_index(self, tmp_path, vectors, manifest):
        VectorIndex.open_or_build(tmp_path, manifest, lambda: vectors)
        content = b"IxFI" + b"\xff" * 99
        fields = json.loads((tmp_path / "manifest.json").read_text())
        fields["sha256"] = hashlib.sha256(content).hexdigest()
        (tmp_path / "manifest.json").write_text(json.dumps(fields))
        (tmp_path / "index.faiss").write_bytes(content)
        index, reason = VectorIndex.open_or_build(tmp_path, manifest, lambda: vectors)
        assert reason == "its file is no index"
        assert len(index) == 30

    def test_an_interrupted_save_does_not_count(self, tmp_path, vectors, manifest, monkeypatch):
        VectorIndex.open_or_build(tmp_path, manifest, lambda: vectors)
        replace = Path.replace

        def killed_before_the_manifest(path, target):
            if target.name == "manifest.json":
                raise KeyboardInterrupt
            return replace(path, target)

        monkeypatch.setattr(Path, "replace", killed_before_the_manifest)
        with pytest.raises(KeyboardInterrupt):
            VectorIndex(unit(30, seed=5)).save(tmp_path, manifest)
        monkeypatch.undo()
        _, reason = VectorIndex.open_or_build(tmp_path, manifest, lambda: vectors)
        assert reason == "its file is damaged"

    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path, vectors, manifest):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(InputError, match=r"the index must be writable: .*file"):
            VectorIndex.open_or_build(tmp_path / "file", manifest, lambda: vectors)
