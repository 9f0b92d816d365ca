import numpy as np
import pytest

from mean_prompt.corpus.vector_files import holds_vectors, read_vectors, unit_vectors
from mean_prompt.system import InputError

VECTORS = np.array([[3.0, 4.0], [0.0, -2.0]])


@pytest.mark.parametrize("column", ["vector", "embedding"])
def test_parquet_lists_are_read_by_column(tmp_path, column):
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "v.parquet"
    parquet.write_table(pa.table({"text": ["a", "b"], column: VECTORS.tolist()}), path)
    assert holds_vectors(path)
    np.testing.assert_array_equal(read_vectors(path), VECTORS)
    parquet.write_table(pa.table({"text": ["a", "b"]}), path)
    assert not holds_vectors(path)  # texts, then


def test_numpy_files_are_read_and_a_single_vector_is_a_row(tmp_path):
    path = tmp_path / "v.npy"
    np.save(path, VECTORS)
    assert holds_vectors(path)
    np.testing.assert_array_equal(read_vectors(path), VECTORS)
    np.save(path, VECTORS[0])
    assert read_vectors(path).shape == (1, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "must exist: found no file"), (b"no array", "equally many numbers"), (b"", "equally")],
)
def test_a_missing_or_broken_file_is_one_line(tmp_path, content, message):
    path = tmp_path / "v.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_vectors(path)


def test_no_pickled_object_is_loaded(tmp_path):
    path = tmp_path / "v.npy"
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(InputError, match="equally many numbers"):
        read_vectors(path)


def test_rows_of_unequal_length_are_refused(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "v.parquet"
    parquet.write_table(pa.table({"vector": [[1.0, 2.0], [3.0]]}), path)
    with pytest.raises(InputError, match="equally many numbers"):
        read_vectors(path)


def test_vectors_are_scaled_to_unit_length():
    scaled = unit_vectors(VECTORS, 2)
    np.testing.assert_allclose(scaled, [[0.6, 0.8], [0.0, -1.0]], rtol=1e-6)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(unit_vectors(VECTORS * 1e300, 2), scaled, rtol=1e-6)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones((2, 3)), "as long as the model's, 2 numbers: found 3; name the model"),
        (np.array([[1.0, 0], [0, 0]]), "vector 1 has length 0"),
        (np.array([[np.nan, 0]]), "vector 0 holds NaN or infinity"),
        (np.array([[np.inf, 0]]), "vector 0 holds NaN or infinity"),
        (np.ones((1, 2, 2)), r"rows of numbers: found an array of shape \(1, 2, 2\)"),
        (np.empty((0, 2)), r"rows of numbers: found an array of shape \(0, 2\)"),
        (np.array([["a", "b"]]), "rows of numbers: .* type <U1"),
    ],
)
def test_vectors_without_a_direction_are_refused(vectors, message):
    with pytest.raises(InputError, match=message):
        unit_vectors(vectors, 2)
