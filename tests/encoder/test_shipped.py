"""Vectors that come with the package are the model's, and belong to its corpus."""

import numpy as np
import pytest

from benchmarks.shipped import packaged_strings
from mean_prompt.encoder import shipped
from mean_prompt.encoder.cache import VectorCache
from mean_prompt.encoder.shipped import shipped_vectors, text_key, write_shipped


def test_every_packaged_prompt_and_what_is_put_in_has_its_vector(minilm):
    """Run ``python -m benchmarks.shipped`` if the corpus has changed."""
    key = minilm.identity.key
    names = (key, f"{key}-screened")
    for name, texts, cosine in zip(
        names, packaged_strings(minilm), (0.999_999, 0.999), strict=True
    ):
        kept = shipped_vectors(name)
        assert {text_key(text)[:16] for text in texts} == set(kept.rows)
        some = texts[:: len(texts) // 50]
        vectors = np.stack([kept[text_key(text)] for text in some])
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-6)
        assert (vectors * minilm.encode(some)).sum(axis=1).min() > cosine


@pytest.mark.parametrize(("bits", "tolerance"), [(16, 1e-3), (8, 1e-2)])
def test_a_vector_that_is_there_is_not_computed(tmp_path, monkeypatch, bits, tolerance):
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path)
    unit = np.array([[0.6, 0.8], [0.0, -1.0]], np.float32)
    write_shipped(f"model-{bits}", ["a", "b"], unit, bits=bits)
    asked = []

    def encode(texts):
        asked.extend(texts)
        return np.ones((len(texts), 2), np.float32)

    for cache in (
        VectorCache(f"model-{bits}", tmp_path),
        VectorCache("any", tmp_path, shipped=f"model-{bits}"),
    ):
        found = cache.encode(["b", "c", "a"], encode)
        assert found[[2, 0]] == pytest.approx(unit, abs=tolerance)
        assert found[1].tolist() == [1.0, 1.0]
    assert asked == ["c", "c"]
    assert VectorCache("another model", tmp_path).encode(["a"], encode).tolist() == [[1.0, 1.0]]
