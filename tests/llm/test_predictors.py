"""What every predictor must do, whatever is behind it."""

import time
from dataclasses import replace

import pytest

from mean_prompt.corpus import Rows
from mean_prompt.llm.base import Example
from mean_prompt.llm.cache import CachedPredictor
from mean_prompt.llm.cleaning import clean
from mean_prompt.llm.local import LocalPredictor
from mean_prompt.llm.options import LLMOptions
from mean_prompt.llm.recorded import RecordedPredictor
from mean_prompt.llm.server import ServerPredictor
from mean_prompt.system import Deadline

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


@pytest.fixture(scope="module", params=["recorded", "local-samples", "server", "cached"])
def make(request, tmp_path_factory):
    """Return what makes a fresh predictor of one kind, with some options changed."""
    kind = request.param
    folder = None if kind == "recorded" else str(request.getfixturevalue("chat_folder"))
    url = request.getfixturevalue("chat_server") if kind == "server" else None
    cache = tmp_path_factory.mktemp("cache")

    def fresh(**changes):
        if kind == "recorded":
            texts = ['"A first"', "A first", " ", "One more", "Sure: a second", "Prompt: a third"]
            texts[0] += changes.get("more", "")
            return RecordedPredictor(["r1", "r1", "r3", "r1", "r2", "r4"], texts, source="a test")
        options = LLMOptions(**((SAMPLED if kind == "local-samples" else GREEDY) | changes))
        if kind == "server":
            return ServerPredictor(folder, url, options)
        local = LocalPredictor(folder, replace(options, dtype="float32"), device="cpu")
        return CachedPredictor(local, cache) if kind == "cached" else local

    return fresh


def by_row(predictions):
    """Return the texts by row; there must be no fault, and no row twice."""
    found = {}
    for one in predictions:
        assert one.row not in found
        assert one.fault is None
        found[one.row] = one.texts
    return found


@pytest.fixture(scope="module")
def made(make):
    """Return a predictor that was asked about the rows, and its predictions."""
    predictor = make()
    return predictor, list(predictor.predict(ROWS))


def test_every_row_is_predicted_once_and_repeatably(make, made):
    predictor, predictions = made[0], by_row(made[1])
    assert sorted(predictions) == [0, 1, 2, 3]
    assert f"predictions: {sum(map(bool, predictions.values()))} of 4 rows" in predictor.notes()
    again = make().predict(ROWS.take([3, 0]), deadline=Deadline(600))
    assert by_row(again) == {0: predictions[3], 1: predictions[0]}


def test_texts_are_distinct_lines_cleaned_from_the_raw_answers(made):
    for one in made[1]:
        assert len(set(one.texts)) == len(one.texts)
        assert all(text and text == text.strip() and "\n" not in text for text in one.texts)
        assert one.raw or not one.texts
        assert len(set(one.raw)) == len(one.raw)
        if one.texts:
            assert clean(one.raw[0]).text == one.texts[0]
            assert {clean(raw).text for raw in one.raw} >= set(one.texts)


def test_an_expired_deadline_ends_at_once_and_a_caller_may_leave_early(make, made):
    predictor = make()
    start = time.monotonic()
    assert list(predictor.predict(ROWS, deadline=Deadline(0))) == []
    assert list(predictor.predict(Rows((), (), ()))) == []
    assert time.monotonic() - start < 0.5
    predictions = predictor.predict(ROWS)
    first = next(predictions)
    start = time.monotonic()
    predictions.close()
    assert time.monotonic() - start < 2
    assert by_row(made[1])[first.row] == first.texts


def test_the_identity_is_of_what_predictions_depend_on(make, request):
    assert make().identity == make().identity
    changes = [{"more": "!"}]
    if request.node.callspec.params["make"] != "recorded":
        changes = [{"max_new_tokens": 7}, {"temperature": 0.5, "seed": 1},
                   {"temperature": 0.5, "samples": 2}, {"temperature": 0.5}]  # fmt: skip
    identities = {make(**change).identity for change in changes}
    assert make().identity not in identities
    assert len(identities) == len(changes)


def test_examples_change_what_a_model_answers(make, made, request):
    shown, plain = by_row(make().predict(ROWS, EXAMPLES)), by_row(made[1])
    assert sorted(shown) == [0, 1, 2, 3]
    assert (shown == plain) == (request.node.callspec.params["make"] == "recorded")
