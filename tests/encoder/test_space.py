"""Strings as vectors: each computed once, and none after the deadline."""

import numpy as np
import pytest

from mean_prompt.encoder.encoder import Screening
from mean_prompt.encoder.space import EmbeddingSpace
from mean_prompt.system.deadline import Deadline, OutOfTimeError
from mean_prompt.system.progress import ProgressEvent
from tests.fakes import WORDS, FakeEncoder

#: 200 distinct strings.
TEXTS = [f"{a} {b} {c}" for a in WORDS[:5] for b in WORDS[:8] for c in WORDS[:5]]


@pytest.fixture(autouse=True)
def _fresh_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(tmp_path))


def test_vectors_are_the_encoders_and_computed_once():
    encoder = FakeEncoder()
    expected = encoder.encode([*TEXTS, TEXTS[0], ""])
    encoder.encoded = 0
    np.testing.assert_array_equal(EmbeddingSpace(encoder).exact([*TEXTS, TEXTS[0], ""]), expected)
    assert encoder.encoded == 201
    np.testing.assert_array_equal(EmbeddingSpace(encoder).exact(TEXTS[50:70]), expected[50:70])
    assert encoder.encoded == 201


def test_rough_vectors_are_kept_apart():
    encoder = FakeEncoder()
    encoder.screening = Screening("bfloat16", 0.999, 2.0)
    encoder.screen = lambda texts: np.full((len(texts), 6), 6**-0.5, np.float32)
    strings = EmbeddingSpace(encoder)
    rough, exact = strings.screened(TEXTS[:3]), strings.exact(TEXTS[:3])
    assert (rough == np.float32(6**-0.5)).all()
    np.testing.assert_array_equal(exact, encoder.encode(TEXTS[:3]))
    np.testing.assert_array_equal(EmbeddingSpace(encoder).screened(TEXTS[:3]), rough)


def test_where_the_precisions_are_one_their_vectors_are():
    encoder = FakeEncoder()
    EmbeddingSpace(encoder).exact(TEXTS)
    encoder.encoded = 0
    EmbeddingSpace(encoder).screened(TEXTS)
    assert encoder.encoded == 0


def test_no_texts_have_no_vectors():
    strings = EmbeddingSpace(FakeEncoder())
    assert strings.exact([]).shape == strings.screened([]).shape == (0, 6)


def test_texts_that_the_model_cuts_are_counted():
    strings = EmbeddingSpace(FakeEncoder(max_tokens=3))
    texts = ["the text", "make the text", "make the text formal", ""]
    assert strings.tokens(texts) == [2, 3, 4, 0]
    assert strings.cut(texts) == 1


def test_the_listener_receives_what_is_embedded():
    events = []
    EmbeddingSpace(FakeEncoder(), listener=events.append).exact(TEXTS, "some texts")
    assert events == [
        ProgressEvent("embedding some texts", done, 200, "some texts") for done in (0, 200)
    ]


def test_after_the_deadline_nothing_is_encoded_but_the_cache_still_answers():
    encoder, over = FakeEncoder(), Deadline(-1)
    known = EmbeddingSpace(encoder).exact(TEXTS[:9])
    encoder.encoded = 0
    np.testing.assert_array_equal(EmbeddingSpace(encoder).exact(TEXTS[:9], deadline=over), known)
    with pytest.raises(OutOfTimeError):
        EmbeddingSpace(encoder).exact(TEXTS[:10], deadline=over)
    assert encoder.encoded == 0
