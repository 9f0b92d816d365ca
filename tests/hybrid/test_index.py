"""Nearest neighbours: as good as exhaustive search."""

import numpy as np
import pytest

from mean_prompt.hybrid import index as module
from mean_prompt.hybrid.index import VectorIndex
from mean_prompt.objective import normalized


def unit(count, dimension=16, seed=0):
    return normalized(np.random.default_rng(seed).standard_normal((count, dimension)))


@pytest.fixture
def approximate(monkeypatch):
    monkeypatch.setattr(module, "APPROXIMATE_ABOVE", 0)


class TestExact:
    def test_it_is_exhaustive_search(self):
        vectors, queries = unit(700), unit(40, seed=1)
        cosines, numbers = VectorIndex(vectors).search(queries, 20)
        expected = queries @ vectors.T
        nearest = np.argsort(-expected, axis=1, kind="stable")[:, :20]
        np.testing.assert_array_equal(numbers, nearest)
        np.testing.assert_allclose(cosines, np.take_along_axis(expected, nearest, 1), atol=1e-6)
        assert numbers.dtype == np.int64

    def test_more_neighbours_than_vectors_are_all_of_them(self):
        vectors = unit(5)
        cosines, numbers = VectorIndex(vectors).search(vectors, 64)
        assert numbers.shape == cosines.shape == (5, 5)
        assert [sorted(row) for row in numbers] == [list(range(5))] * 5


@pytest.mark.usefixtures("approximate")
class TestApproximate:
    def test_it_is_close_to_exhaustive_search(self):
        # Around 40 points, as prompts are around what they ask for.
        rng = np.random.default_rng(0)
        middles, of = unit(40, seed=2), rng.integers(40, size=3_000)
        vectors = normalized(middles[of] + 0.1 * rng.standard_normal((3_000, 16)))
        queries = normalized(middles + 0.1 * rng.standard_normal((40, 16)))
        cosines, numbers = VectorIndex(vectors).search(queries, 10)
        nearest = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
        found = [len(set(a) & set(b)) / 10 for a, b in zip(numbers, nearest, strict=True)]
        assert np.mean(found) >= 0.6
        there = numbers >= 0
        own = np.einsum("md,mkd->mk", queries, vectors[numbers])
        np.testing.assert_allclose(cosines[there], own[there], atol=1e-6)
        assert (np.diff(cosines, axis=1) <= 1e-6).all()

    def test_a_cell_with_fewer_vectors_leaves_the_rest_unfound(self):
        # 100 vectors in 40 cells of which two are visited: about five of them are compared.
        cosines, numbers = VectorIndex(unit(100)).search(unit(20, seed=1), 50)
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

    def test_a_single_vector_is_found(self, capfd):
        index = VectorIndex(unit(1))
        assert index.search(unit(1), 3)[1].tolist() == [[0]]
        assert len(index) == 1
        assert capfd.readouterr() == ("", "")
