"""What every predictor must do, whatever is behind it."""

import time
from dataclasses import replace

import pytest

from mean_prompt.corpus.rows import Rows
from mean_prompt.llm.base import Example
from mean_prompt.llm.cache import CachedPredictor
from mean_prompt.llm.cleaning import clean
from mean_prompt.llm.local import LocalPredictor
from mean_prompt.llm.options import LLMOptions
from mean_prompt.llm.recorded import RecordedPredictor
from mean_prompt.llm.server import ServerPredictor

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS = Rows(
    ("r1", "r2", "r3", "r4"),
    ("the story of a king", "rules of the game", "", "a letter to the queen"),
    ("a poem", "a song about the sea", "a joke", ""),
)
EXAMPLES = [
    [Example(f"text {n}", "a style", "Rewrite it as a puzzle"), Example("the", "a", "Make it sad")]
    for n in range(len(ROWS))
]
GREEDY = {"max_new_tokens": 6}
SAMPLED = {"max_new_tokens": 6, "samples": 3, "temperature": 1.0, "batch": 6}

KINDS = ("recorded", "local", "local-samples", "local-base", "server")


@pytest.fixture(params=[*KINDS, *(f"{kind}-cached" for kind in KINDS)])
def make(request, tmp_path):
    """Return what makes a fresh predictor of one kind, with some options changed."""
    kind = request.param.removesuffix("-cached")
    models = {"local-base": "base_folder"}
    folder = None
    if kind != "recorded":
        folder = str(request.getfixturevalue(models.get(kind, "chat_folder")))
    url = request.getfixturevalue("chat_server") if kind == "server" else None

    def bare(**changes):
        if kind == "recorded":
            texts = ['"A first"', "A first", " ", "One more", "Sure: a second", "Prompt: a third"]
            texts[0] += changes.get("more", "")
            return RecordedPredictor(["r1", "r1", "r3", "r1", "r2", "r4"], texts, source="a test")
        options = LLMOptions(**((SAMPLED if kind == "local-samples" else GREEDY) | changes))
        if kind == "server":
            return ServerPredictor(folder, url, options)
        return LocalPredictor(folder, replace(options, dtype="float32"), device="cpu")

    if request.param.endswith("-cached"):
        return lambda **changes: CachedPredictor(bare(**changes), tmp_path)
    return bare


def by_row(predictions):
    """Return the texts by row, and that there was no fault."""
    found = {}
    for one in predictions:
        assert one.row not in found
        assert one.fault is None
        found[one.row] = one.texts
    return found


def test_every_row_is_predicted_once(make):
    assert sorted(by_row(make().predict(ROWS))) == [0, 1, 2, 3]


def test_texts_are_distinct_single_lines(make):
    for texts in by_row(make().predict(ROWS)).values():
        assert len(set(texts)) == len(texts)
        assert all(text and text == text.strip() and "\n" not in text for text in texts)


def test_the_first_text_comes_of_the_first_answer_as_written(make):
    for one in make().predict(ROWS):
        assert one.raw or not one.texts
        assert len(set(one.raw)) == len(one.raw)
        if one.texts:
            assert clean(one.raw[0]).text == one.texts[0]
            assert {clean(raw).text for raw in one.raw} >= set(one.texts)


def test_a_prediction_goes_with_its_row_wherever_it_stands(make):
    whole = by_row(make().predict(ROWS))
    part = by_row(make().predict(ROWS.take([3, 0])))
    assert part == {0: whole[3], 1: whole[0]}


def test_the_same_seed_gives_the_same_predictions(make):
    assert by_row(make().predict(ROWS)) == by_row(make().predict(ROWS))


def test_a_deadline_in_the_past_ends_at_once(make):
    predictor = make()
    start = time.monotonic()
    assert list(predictor.predict(ROWS, deadline=start - 1)) == []
    assert time.monotonic() - start < 0.5


def test_a_deadline_far_away_changes_nothing(make):
    bounded = make().predict(ROWS, deadline=time.monotonic() + 600)
    assert by_row(bounded) == by_row(make().predict(ROWS))


def test_no_rows_are_no_predictions(make):
    assert list(make().predict(Rows((), (), ()))) == []


def test_examples_are_given_for_each_row(make):
    assert sorted(by_row(make().predict(ROWS, EXAMPLES))) == [0, 1, 2, 3]


def test_a_caller_may_leave_early(make):
    predictor = make()
    predictions = predictor.predict(ROWS)
    first = next(predictions)
    start = time.monotonic()
    predictions.close()
    assert time.monotonic() - start < 2
    assert by_row(predictor.predict(ROWS))[first.row] == first.texts


def test_the_identity_is_of_what_predictions_depend_on(make, request):
    kind = request.node.callspec.params["make"]
    assert make().identity == make().identity
    changes = [{"more": "!"}]
    if not kind.startswith("recorded"):
        changes = [{"max_new_tokens": 7}, {"temperature": 0.5, "seed": 1},
                   {"temperature": 0.5, "samples": 2}, {"temperature": 0.5}]  # fmt: skip
    identities = {make(**change).identity for change in changes}
    assert make().identity not in identities
    assert len(identities) == len(changes)


def test_notes_tell_how_many_rows_are_predicted(make):
    predictor = make()
    predicted = sum(bool(texts) for texts in by_row(predictor.predict(ROWS)).values())
    assert f"predictions: {predicted} of 4 rows" in predictor.notes()


def test_examples_change_what_a_model_says(make, request):
    if request.node.callspec.params["make"].startswith("recorded"):
        assert by_row(make().predict(ROWS, EXAMPLES)) == by_row(make().predict(ROWS))
    else:
        assert by_row(make().predict(ROWS, EXAMPLES)) != by_row(make().predict(ROWS))
