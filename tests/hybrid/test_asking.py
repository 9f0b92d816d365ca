"""Asking an LLM: given up if it takes too long, and an error is raised by the call that waits."""

import threading
import time

import numpy as np
import pytest

from mean_prompt.corpus.triples import Rows, Triples
from mean_prompt.encoder.space import EmbeddingSpace
from mean_prompt.hybrid.asking import Examples, PredictionQueue
from mean_prompt.hybrid.known_predictions import ask_in_time
from mean_prompt.system.deadline import Deadline, OutOfTimeError
from mean_prompt.system.errors import InputError
from mean_prompt.training.vector import LEAST_PREDICTED
from tests.hybrid.prediction_run import HIDDEN, KNOWN, WORLD, FakeLLM
from tests.hybrid.synthetic import encoder

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = WORLD.triples.rows.take(KNOWN)


def asked(llm, rows, *, deadline=None):
    """Return a queue that asks about the first rows."""
    queue = PredictionQueue(deadline or Deadline())
    queue.ask(llm, rows, None, range(len(rows)))
    return queue


def wait_for(condition):
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    assert condition()


class TestKnown:
    def test_those_without_a_prediction_are_left_out(self):
        found = ask_in_time(FakeLLM(fails=ROWS.ids[:5]), ROWS, None, Deadline(), settled=2)
        assert [one.row for one in found] == list(range(5, len(ROWS)))

    def test_it_is_given_up_once_the_pace_is_known(self):
        llm = FakeLLM(seconds=0.02)
        deadline = Deadline(0.02 * LEAST_PREDICTED / 2)
        assert len(ask_in_time(llm, ROWS, None, deadline, settled=4)) == len(llm.asked) == 4

    def test_the_deadline_ends_it_though_the_pace_is_right(self):
        deadline = Deadline()

        class Stopping(FakeLLM):
            def predict(self, *arguments, **options):
                for one in super().predict(*arguments, **options):
                    if one.row == 30:
                        deadline.stop()
                    yield one

        assert len(ask_in_time(Stopping(), ROWS, None, deadline, settled=2)) == 31


class TestQueue:
    def test_items_have_the_numbers_of_the_test_file(self):
        queue = PredictionQueue(Deadline())
        assert queue.take(1) == []  # nothing was asked
        queue.ask(FakeLLM(), ROWS.take([4, 7]), None, [4, 7])
        assert queue.asked == 2
        found = []
        while items := queue.take(1):
            assert len(items) == 1
            found += items
        assert [one.row for one in found] == [4, 7]
        assert [one.texts for one in found] == WORLD.said(KNOWN[[4, 7]])
        assert queue.take(1) == []  # and again

    def test_it_waits_for_the_first_and_for_no_other(self):
        queue = asked(FakeLLM(seconds=0.02), ROWS.take([0, 1]))
        assert queue.take(10, wait=False) == []
        assert [one.row for one in queue.take(10)] == [0]
        assert [one.row for one in queue.take(10)] == [1]

    @pytest.mark.parametrize("kind", [InputError, KeyError])
    def test_an_error_is_raised_after_the_items_before_it(self, kind):
        queue = asked(FakeLLM(breaks=(ROWS.ids[2], kind)), ROWS)
        wait_for(lambda: queue._items.qsize() == 3)
        assert [one.row for one in queue.take(10)] == [0, 1]
        for wait in (True, False, True):
            with pytest.raises(kind, match="the LLM broke"):
                queue.take(10, wait=wait)

    def test_the_deadline_ends_the_waiting_and_not_what_is_there(self):
        deadline = Deadline()
        queue = asked(FakeLLM(), ROWS.take([0, 1, 2]), deadline=deadline)
        wait_for(lambda: queue._items.qsize() == 4)
        deadline.stop()
        with pytest.raises(OutOfTimeError):
            queue.take(10)
        assert len(queue.take(10, wait=False)) == 3

    def test_a_silent_llm_is_not_waited_for_beyond_the_deadline(self):
        silent = threading.Event()

        class Silent:
            def predict(self, *_args, **_options):
                silent.wait(20)
                yield from ()

        queue = asked(Silent(), ROWS, deadline=Deadline(0.1))
        began = time.monotonic()
        try:
            with pytest.raises(OutOfTimeError):
                queue.take(10)
            assert time.monotonic() - began < 5
        finally:
            silent.set()

    def test_closed_it_asks_no_more(self):
        llm = FakeLLM(seconds=0.01)
        with asked(llm, ROWS) as queue:
            queue.take(1)
        wait_for(lambda: not any(t.name == "llm" for t in threading.enumerate()))
        assert len(llm.asked) < 10


class TestExamples:
    @pytest.fixture
    def examples(self):
        return Examples(WORLD.triples.take(KNOWN), EmbeddingSpace(encoder()), 3)

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

    def test_the_deadline_ends_it(self):
        with pytest.raises(OutOfTimeError):
            Examples(WORLD.triples, EmbeddingSpace(encoder(seed=9)), 3, Deadline(0))

    def test_of_few_prompts_there_are_as_many_as_there_are(self):
        rows = Rows(tuple("abc"), tuple("abc"), ("style0", "style1", "style2"))
        triples = Triples(rows, ("one", "One ", "two"))
        examples = Examples(triples, EmbeddingSpace(encoder()), 5)
        [shown] = examples.of(rows.take([0]))
        assert [one.prompt for one in shown] == ["one", "two"]
        assert (shown[0].original, shown[0].rewritten) == ("a", "style0")
        [shown] = examples.of(rows.take([0]), np.array([0]))
        assert [one.prompt for one in shown] == ["two"]
