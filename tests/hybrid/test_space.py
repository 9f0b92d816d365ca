"""Strings as vectors: each computed once, and never after the time is up."""

import time

import numpy as np
import pytest

from mean_prompt.encoder.encoder import Screening
from mean_prompt.hybrid.space import Space
from mean_prompt.system.deadline import Clock, OutOfTimeError
from tests.fakes import WORDS, FakeEncoder

#: 200 distinct strings, of three pieces and a half.
TEXTS = [f"{a} {b} {c}" for a in WORDS[:5] for b in WORDS[:8] for c in WORDS[:5]]


class CountedClock(Clock):
    """A clock that is asked so many times before the time is up."""

    def __init__(self, looks):
        super().__init__()
        self.looks = looks

    def expired(self):
        self.looks -= 1
        return self.looks < 0


@pytest.fixture(autouse=True)
def _fresh_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(tmp_path))


def test_vectors_are_the_encoders_and_computed_once():
    encoder = FakeEncoder()
    expected = encoder.encode([*TEXTS, TEXTS[0], ""])
    encoder.encoded = 0
    np.testing.assert_array_equal(Space(encoder).exact([*TEXTS, TEXTS[0], ""]), expected)
    assert encoder.encoded == 201
    np.testing.assert_array_equal(Space(encoder).exact(TEXTS[50:70]), expected[50:70])
    assert encoder.encoded == 201


def test_rough_vectors_are_kept_apart():
    encoder = FakeEncoder()
    encoder.screening = Screening("bfloat16", 0.999, 2.0)
    encoder.screen = lambda texts: np.full((len(texts), 6), 6**-0.5, np.float32)
    strings = Space(encoder)
    rough, exact = strings.screened(TEXTS[:3]), strings.exact(TEXTS[:3])
    assert (rough == np.float32(6**-0.5)).all()
    np.testing.assert_array_equal(exact, encoder.encode(TEXTS[:3]))
    np.testing.assert_array_equal(Space(encoder).screened(TEXTS[:3]), rough)


def test_where_the_precisions_are_one_their_vectors_are():
    encoder = FakeEncoder()
    Space(encoder).exact(TEXTS)
    encoder.encoded = 0
    Space(encoder).screened(TEXTS)
    assert encoder.encoded == 0


def test_no_texts_have_no_vectors():
    strings = Space(FakeEncoder())
    assert strings.exact([]).shape == strings.screened([]).shape == (0, 6)


def test_texts_that_the_model_cuts_are_counted():
    strings = Space(FakeEncoder(max_tokens=3))
    texts = ["the text", "make the text", "make the text formal", ""]
    assert strings.tokens(texts) == [2, 3, 4, 0]
    assert strings.cut(texts) == 1


def test_progress_is_told():
    told = []
    strings = Space(FakeEncoder(), progress=lambda *report: told.append(report))
    strings.exact(TEXTS, "some texts")
    assert told == [("some texts", 0, 200), ("some texts", 200, 200)]


def test_what_was_encoded_before_the_time_was_up_is_kept(monkeypatch):
    monkeypatch.setattr("mean_prompt.encoder.cache._CHUNK", 50)
    encoder = FakeEncoder()
    with pytest.raises(OutOfTimeError):
        Space(encoder).exact(TEXTS, clock=CountedClock(2))
    assert encoder.encoded == 100
    vectors = Space(encoder).exact(TEXTS)
    assert encoder.encoded == 200
    np.testing.assert_array_equal(vectors, FakeEncoder().encode(TEXTS))


def test_after_the_time_nothing_is_encoded_but_all_is_known_that_was():
    encoder, over = FakeEncoder(), Clock(time.monotonic() - 1)
    known = Space(encoder).exact(TEXTS[:9])
    encoder.encoded = 0
    np.testing.assert_array_equal(Space(encoder).exact(TEXTS[:9], clock=over), known)
    with pytest.raises(OutOfTimeError):
        Space(encoder).exact(TEXTS[:10], clock=over)
    assert encoder.encoded == 0


class TestClock:
    def test_without_a_limit_it_never_ends(self):
        clock = Clock()
        clock.check()
        assert clock.remaining == float("inf")
        assert not clock.until(0.5).expired()

    def test_it_ends_at_its_deadline(self):
        clock = Clock(time.monotonic() + 0.02)
        assert not clock.expired()
        time.sleep(0.03)
        with pytest.raises(OutOfTimeError):
            clock.check()

    def test_a_share_of_the_time_is_a_share_of_what_is_left(self):
        clock = Clock(time.monotonic() + 100)
        half = clock.until(0.5)
        assert half.remaining == pytest.approx(50, abs=0.5)
        assert half.until(0.5).remaining == pytest.approx(25, abs=0.5)
        assert half.began == clock.began
        assert Clock(time.monotonic() - 5).until(0.5).expired()

    def test_who_stops_the_whole_stops_all_parts(self):
        clock = Clock(time.monotonic() + 100)
        part = clock.until(0.5)
        small = part.until(0.5)
        part.stopped = True
        assert small.expired()
        assert not clock.expired()
        part.stopped = False
        clock.stopped = True
        assert part.expired()
        assert small.expired()
