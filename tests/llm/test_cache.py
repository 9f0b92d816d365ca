"""Nothing is paid for twice, and nothing is mixed up."""

import pytest

from mean_prompt.corpus import Rows
from mean_prompt.llm.base import Example, Prediction
from mean_prompt.llm.cache import CachedPredictor
from mean_prompt.system import InputError

ROWS = Rows(tuple("abcde"), tuple("ABCDE"), tuple("12345"))


class Spy:
    """Predicts by the row's texts, backwards, and keeps what it was asked."""

    def __init__(self, name="spy", faults=()):
        self.identity = name
        self.faults = faults
        self.asked = []

    def predict(self, rows, examples=None, *, deadline=None):  # noqa: ARG002
        for row in reversed(range(len(rows))):
            self.asked.append(rows.originals[row])
            if rows.originals[row] in self.faults:
                yield Prediction(row, (), "time-out: too slow")
            else:
                shown = [example.prompt for example in examples[row]] if examples else []
                texts = (f"{self.identity} {rows.originals[row]}", *shown)
                yield Prediction(row, texts, raw=tuple(f'"{text}"' for text in texts))

    def notes(self):
        return [f"asked {len(self.asked)}"]


def by_row(predictions):
    return {one.row: one for one in predictions}


def texts(predictions):
    return {one.row: one.texts for one in predictions}


def test_a_second_run_asks_nothing(tmp_path):
    first, second = Spy(), Spy()
    paid = by_row(CachedPredictor(first, tmp_path).predict(ROWS))
    cached = CachedPredictor(second, tmp_path)
    assert by_row(cached.predict(ROWS)) == paid
    assert paid[2] == Prediction(2, ("spy C",), raw=('"spy C"',))
    assert sorted(first.asked) == list("ABCDE")
    assert second.asked == []
    assert cached.notes() == ["from the cache: 5 rows", "asked 0"]


def test_an_unfinished_run_keeps_its_rows(tmp_path):
    predictions = CachedPredictor(Spy(), tmp_path).predict(ROWS)
    assert [next(predictions).row for _ in range(3)] == [4, 3, 2]
    # As after a kill: the first run has closed nothing.
    spy = Spy()
    rows = [one.row for one in CachedPredictor(spy, tmp_path).predict(ROWS)]
    assert spy.asked == ["B", "A"]
    assert rows == [2, 3, 4, 1, 0]
    predictions.close()


def test_a_kept_row_serves_other_ids_and_orders(tmp_path):
    list(CachedPredictor(Spy(), tmp_path).predict(ROWS))
    spy = Spy()
    rows = Rows(("x", "y", "z"), ("E", "new", "A"), ("5", "0", "1"))
    found = texts(CachedPredictor(spy, tmp_path).predict(rows))
    assert found == {0: ("spy E",), 1: ("spy new",), 2: ("spy A",)}
    assert spy.asked == ["new"]


@pytest.mark.parametrize(
    ("identity", "original", "rewritten", "prompt"),
    [("other", "AB", "1", "z"), ("spy", "A", "B1", "z"), ("spy", "AB", "1!", "z"),
     ("spy", "AB", "1", "z!")],
)  # fmt: skip
def test_what_differs_in_anything_is_asked_again(tmp_path, identity, original, rewritten, prompt):
    row = Rows(("a",), ("AB",), ("1",))
    list(CachedPredictor(Spy(), tmp_path).predict(row, [[Example("x", "y", "z")]]))
    spy = Spy(identity)
    other = Rows(("a",), (original,), (rewritten,))
    list(CachedPredictor(spy, tmp_path).predict(other, [[Example("x", "y", prompt)]]))
    assert spy.asked == [original]


def test_examples_go_with_the_rows_that_are_asked(tmp_path):
    list(CachedPredictor(Spy(), tmp_path).predict(ROWS.take([1]), [[Example("", "", "1")]]))
    examples = [[Example("", "", str(row))] for row in range(5)]
    found = texts(CachedPredictor(Spy(), tmp_path).predict(ROWS, examples))
    assert {row: shown[1] for row, shown in found.items()} == {n: str(n) for n in range(5)}


def test_faults_are_passed_on_and_not_kept(tmp_path):
    found = list(CachedPredictor(Spy(faults="C"), tmp_path).predict(ROWS))
    assert Prediction(2, (), "time-out: too slow") in found
    spy = Spy()
    assert texts(CachedPredictor(spy, tmp_path).predict(ROWS))[2] == ("spy C",)
    assert spy.asked == ["C"]


def test_any_text_can_be_kept(tmp_path):
    odd = Rows(("a",), ("\x00 \ud800 \n",), ("\U0001f98a",))
    list(CachedPredictor(Spy(), tmp_path).predict(odd))
    assert texts(CachedPredictor(Spy(), tmp_path).predict(odd)) == {0: ("spy \x00 \ud800 \n",)}


def test_a_broken_cache_is_named(tmp_path):
    path = CachedPredictor(Spy(), tmp_path).path
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(InputError, match="delete it, or set MEAN_PROMPT_CACHE"):
        CachedPredictor(Spy(), tmp_path)
