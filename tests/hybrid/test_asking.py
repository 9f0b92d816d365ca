"""Asking: given up where it takes too long, and whatever ends it is told where it is waited for."""

import threading
import time

import numpy as np
import pytest

from mean_prompt.corpus.triples import Rows, Triples
from mean_prompt.hybrid.asking import Examples, PredictionQueue, ask_known
from mean_prompt.hybrid.few_shot import Shots
from mean_prompt.hybrid.keys import RowVectors
from mean_prompt.hybrid.predictor import LEAST_PREDICTED
from mean_prompt.hybrid.space import Space
from mean_prompt.system.deadline import Clock, OutOfTimeError
from mean_prompt.system.errors import InputError
from tests.hybrid.prediction_run import HIDDEN, KNOWN, WORLD, FakeLLM
from tests.hybrid.synthetic import encoder

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = WORLD.triples.rows.take(KNOWN)


def in_seconds(seconds):
    return Clock(time.monotonic() + seconds)


class TestKnown:
    def test_all_are_asked_without_a_limit(self):
        found = ask_known(FakeLLM(), ROWS, None, Clock(), settled=2)
        assert [one.row for one in found] == list(range(len(ROWS)))

    def test_those_without_a_prediction_are_left_out(self):
        found = ask_known(FakeLLM(fails=ROWS.ids[:5]), ROWS, None, Clock(), settled=2)
        assert [one.row for one in found] == list(range(5, len(ROWS)))

    def test_it_is_given_up_once_the_pace_is_known(self):
        llm = FakeLLM(seconds=0.05)
        began = time.monotonic()
        found = ask_known(llm, ROWS, None, in_seconds(0.05 * LEAST_PREDICTED / 2), settled=4)
        assert len(found) == len(llm.asked) == 4
        assert time.monotonic() - began < 0.5

    def test_the_clock_ends_it_though_the_pace_is_right(self):
        clock = Clock()

        class Stopping(FakeLLM):
            def predict(self, *arguments, **options):
                for one in super().predict(*arguments, **options):
                    if one.row == 30:
                        clock.stop()
                    yield one

        assert len(ask_known(Stopping(), ROWS, None, clock, settled=2)) == 31


class TestMailbox:
    def test_letters_have_the_numbers_of_the_test_file(self):
        mailbox = PredictionQueue(FakeLLM(), Clock())
        mailbox.ask(ROWS.take([4, 7]), None, [4, 7])
        assert mailbox.asked == 2
        found = []
        while letters := mailbox.take(1):
            assert len(letters) == 1
            found += letters
        assert [one.row for one in found] == [4, 7]
        assert [one.texts for one in found] == WORLD.said(KNOWN[[4, 7]])
        assert mailbox.take(1) == []  # and again

    def test_it_waits_for_the_first_and_for_no_other(self):
        mailbox = PredictionQueue(FakeLLM(seconds=0.05), Clock())
        mailbox.ask(ROWS.take([0, 1]), None, [0, 1])
        assert mailbox.take(10, wait=False) == []
        assert [one.row for one in mailbox.take(10)] == [0]
        assert [one.row for one in mailbox.take(10)] == [1]

    @pytest.mark.parametrize("kind", [InputError, RuntimeError, KeyError])
    def test_what_ends_the_asking_is_raised_after_the_letters_before_it(self, kind):
        mailbox = PredictionQueue(FakeLLM(breaks=(ROWS.ids[2], kind)), in_seconds(20))
        mailbox.ask(ROWS, None, range(len(ROWS)))
        end = time.monotonic() + 5
        while mailbox._letters.qsize() < 3 and time.monotonic() < end:
            time.sleep(0.005)
        assert [one.row for one in mailbox.take(10)] == [0, 1]
        for wait in (True, False, True):
            with pytest.raises(kind, match="the LLM broke"):
                mailbox.take(10, wait=wait)

    def test_the_clock_ends_the_waiting_and_not_what_is_there(self):
        clock = in_seconds(60)
        mailbox = PredictionQueue(FakeLLM(), clock)
        mailbox.ask(ROWS.take([0, 1, 2]), None, [0, 1, 2])
        end = time.monotonic() + 5
        while mailbox._letters.qsize() < 4 and time.monotonic() < end:
            time.sleep(0.005)
        clock.stop()
        with pytest.raises(OutOfTimeError):
            mailbox.take(10)
        assert len(mailbox.take(10, wait=False)) == 3

    def test_a_silent_llm_is_not_waited_for_beyond_the_deadline(self):
        silent = threading.Event()

        class Silent:
            def predict(self, *_args, **_options):
                silent.wait(20)
                yield from ()

        mailbox = PredictionQueue(Silent(), in_seconds(0.2))
        mailbox.ask(ROWS, None, range(len(ROWS)))
        began = time.monotonic()
        try:
            with pytest.raises(OutOfTimeError):
                mailbox.take(10)
            assert time.monotonic() - began < 5
        finally:
            silent.set()

    def test_the_deadline_reaches_the_llm(self):
        clock = in_seconds(0.3)
        llm = FakeLLM(seconds=0.1)
        mailbox = PredictionQueue(llm, clock)
        mailbox.ask(ROWS, None, range(len(ROWS)))
        count = 0
        while letters := mailbox.take(10):
            count += len(letters)
        assert 0 < count == len(llm.asked) < 4

    def test_closed_it_asks_no_more(self):
        llm = FakeLLM(seconds=0.02)
        mailbox = PredictionQueue(llm, Clock())
        mailbox.ask(ROWS, None, range(len(ROWS)))
        mailbox.take(1)
        mailbox.close()
        end = time.monotonic() + 5
        while any(t.name == "llm" for t in threading.enumerate()) and time.monotonic() < end:
            time.sleep(0.005)
        assert len(llm.asked) < 10


class TestExamples:
    @pytest.fixture
    def examples(self):
        return Examples(WORLD.triples.take(KNOWN), Space(encoder()), 3, Clock())

    def test_they_are_alike_and_of_different_prompts(self, examples):
        rows = WORLD.triples.rows.take(HIDDEN)
        prompts = [WORLD.triples.prompts[row] for row in HIDDEN]
        alike = []
        for row, shown in enumerate(examples.of(rows)):
            assert len({one.prompt for one in shown}) == len(shown) == 3
            words = set(prompts[row].split()[2:])
            alike.append(bool(words & set(shown[0].prompt.split())))
        assert np.mean(alike) > 0.8

    def test_a_known_row_is_not_shown_rows_of_its_own_prompt(self, examples):
        known = WORLD.triples.take(KNOWN)
        for own, shown in zip(known.prompts, examples.of(known.rows, known.groups()), strict=True):
            assert len(shown) == 3
            assert own not in [one.prompt for one in shown]
        # Told nothing, it finds the rows themselves.
        nearest = [shown[0].prompt for shown in examples.of(known.rows)]
        assert nearest == list(known.prompts)

    def test_the_clock_ends_it(self):
        with pytest.raises(OutOfTimeError):
            Examples(WORLD.triples, Space(encoder(seed=9)), 3, in_seconds(-1))


def test_shots_of_few_prompts_are_as_many_as_there_are():
    rows = Rows(tuple("abc"), tuple("abc"), tuple("def"))
    triples = Triples(rows, ("one", "One ", "two"))
    vectors = np.eye(3, dtype=np.float32)
    shots = Shots(triples, RowVectors(vectors, vectors[::-1], None), 5)
    [shown] = shots.examples(RowVectors(vectors[:1], vectors[2:], None))
    assert [one.prompt for one in shown] == ["one", "two"]
    assert (shown[0].original, shown[0].rewritten) == ("a", "d")
    [shown] = shots.examples(RowVectors(vectors[:1], vectors[2:], None), np.array([0]))
    assert [one.prompt for one in shown] == ["two"]
