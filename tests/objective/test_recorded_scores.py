"""Scores that others recorded with the real sentence-t5-base, reproduced where that model is.

``MEAN_PROMPT_RECORDED_SCORES`` names a CSV file with columns ``llm_prediction``,
``rewrite_prompt`` and ``st5_scs``: the sharpened cosine similarity of the two.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from mean_prompt.corpus.readers import read_columns
from mean_prompt.encoder.loading import DEFAULT_MODEL, find_model, load_encoder
from mean_prompt.objective.scs import sharpened_cosines
from mean_prompt.system.errors import InputError

TOLERANCE = 2e-3


def test_recorded_scores_of_sentence_t5_base_are_reproduced(monkeypatch):
    path = os.environ.get("MEAN_PROMPT_RECORDED_SCORES")
    if path is None:
        pytest.skip("MEAN_PROMPT_RECORDED_SCORES names no file of recorded scores")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", os.environ["MEAN_PROMPT_TEST_HUB"])
    monkeypatch.setenv("HF_HUB_CACHE", os.environ["MEAN_PROMPT_TEST_HUB"])
    try:
        find_model(DEFAULT_MODEL)
    except InputError as error:
        pytest.skip(f"{DEFAULT_MODEL} is not cached: {error}")
    names = ("llm_prediction", "rewrite_prompt", "st5_scs")
    rows = read_columns(Path(path), names)
    recorded = np.array([float(score) for score in rows["st5_scs"]])
    encoder = load_encoder(DEFAULT_MODEL, device="cpu", screening="float32")
    said, truth = (encoder.encode(rows[name]) for name in names[:2])
    assert np.abs(sharpened_cosines(said, truth) - recorded).max() < TOLERANCE
