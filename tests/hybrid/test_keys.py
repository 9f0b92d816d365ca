"""What rows are compared by."""

import numpy as np
import pytest

from mean_prompt.hybrid.keys import PREDICTION_KEYS, TEXT_KEYS, Key, RowVectors, normalized

ORIGINALS, REWRITTEN, PREDICTIONS = (
    np.array(rows, np.float32) for rows in ([[1, 0], [0, 1]], [[0, 1], [0, 1]], [[3, 4]] * 2)
)


def test_features_stand_in_the_order_of_the_parts():
    rows = RowVectors(ORIGINALS, REWRITTEN, PREDICTIONS)
    features = rows.features(["prediction", "difference", "original", "rewritten"])
    assert features.tolist() == [[3, 4, -1, 1, 1, 0, 0, 1], [3, 4, 0, 0, 0, 1, 0, 1]]
    assert len(rows) == 2


def test_some_rows_keep_all_their_vectors():
    rows = RowVectors(ORIGINALS, REWRITTEN, PREDICTIONS * [[1], [2]]).take(np.array([1]))
    assert rows.features(["original", "prediction"]).tolist() == [[0, 1, 6, 8]]
    assert RowVectors(ORIGINALS, REWRITTEN).take(np.array([0])).predictions is None


def test_predictions_that_are_not_there_are_no_features():
    bare = RowVectors(ORIGINALS, REWRITTEN, PREDICTIONS).without_predictions()
    assert bare.features(["rewritten"]).tolist() == REWRITTEN.tolist()
    with pytest.raises(ValueError, match="rows without predictions"):
        bare.features(["rewritten", "prediction"])


def test_rows_are_scaled_to_unit_length_but_noughts():
    scaled = normalized(np.array([[3.0, 4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(scaled, [[0.6, 0.8], [0, 0]], atol=1e-7)
    assert scaled.dtype == np.float32


def test_keys_have_names_of_their_own():
    keys = [*TEXT_KEYS, *PREDICTION_KEYS]
    assert len({str(key) for key in keys}) == len(set(keys)) == len(keys)
    assert str(Key("raw", ("original", "rewritten"))) == "raw original + rewritten"
    assert str(Key("ridge", ("rewritten",), 3.0)) == "ridge of rewritten (alpha 3)"


def test_only_keys_with_a_prediction_ask_for_one():
    assert not any("prediction" in key.parts for key in TEXT_KEYS)
    assert all("prediction" in key.parts for key in PREDICTION_KEYS)
