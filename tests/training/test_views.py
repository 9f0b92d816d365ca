"""Views: which strings are made of a row, and the vectors they become."""

import numpy as np
import pytest

from mean_prompt.corpus.triples import Rows
from mean_prompt.encoder.space import EmbeddingSpace
from mean_prompt.system.deadline import Deadline, OutOfTimeError
from mean_prompt.training.views import (
    MOST_PREDICTIONS,
    VIEWS,
    Row,
    RowView,
    embed_views,
    rows_of,
    split_by_opener,
)
from mean_prompt.training.wording import Beginnings, Wording
from tests.fakes import FakeEncoder

WORDING = Wording(
    openers=Beginnings((), (), ["here is the text as"]),
    predicted=Beginnings((), (), ["rewrite as", "please make it"]),
    heads=("Make it", "Turn the text into"),
)
BY_NAME = {view.name: view for view in VIEWS}


def row(rewritten="", *predictions, original="text"):
    return Row(original, rewritten, predictions, WORDING)


@pytest.fixture
def space():
    return EmbeddingSpace(FakeEncoder())


class TestRow:
    def test_the_subject_is_the_first_line_without_its_opener(self):
        one = row("**Here is the text as a poem:**\n\nRoses are red.")
        assert one.line == "Here is the text as a poem"
        assert one.has_opener
        assert one.subject == "a poem"

    def test_a_line_without_an_opener_is_its_own_subject(self):
        one = row("Here lies the text\nviolets")
        assert not one.has_opener
        assert one.subject == one.line == "Here lies the text"

    def test_requests_are_the_subject_behind_each_head(self):
        one = row("Here is the text as a poem:")
        assert one.requests == ("Make it a poem", "Turn the text into a poem")
        assert row("\n**:**\n").requests == ()

    def test_templates_are_predictions_with_other_heads(self):
        one = row("", "Rewrite as a poem", "sadder", "")
        assert one.templates == (
            "Make it a poem", "Turn the text into a poem", "Make it sadder",
            "Turn the text into sadder",
        )  # fmt: skip
        assert row("Here is the text as a poem").templates == ()

    def test_rows_have_their_likeliest_predictions(self):
        rows = Rows(("a", "b"), ("x", "y"), ("X", "Y"))
        said = tuple(f"guess {number}" for number in range(MOST_PREDICTIONS + 2))
        first, second = rows_of(rows, [said, ()], WORDING)
        assert (first.original, second.rewritten) == ("x", "Y")
        assert (first.predictions, second.predictions) == (said[:MOST_PREDICTIONS], ())
        assert [one.predictions for one in rows_of(rows, None, WORDING)] == [(), ()]


@pytest.mark.parametrize(
    ("name", "strings"),
    [
        ("headings", "A poem Part two"),
        ("last line", "The end"),
        ("subject", "A poem"),
        ("predictions", ("Rewrite as a poem",)),
    ],
)
def test_default_views_read_what_they_are_called(name, strings):
    one = row("**A poem**\nRoses\n**Part two**\n*The end*", "Rewrite as a poem")
    assert BY_NAME[name].strings(one) == strings


class TestEmbedding:
    def test_a_view_is_the_mean_of_its_strings_vectors(self, space):
        rows = [row("poem", "formal tone", "story"), row("email")]
        found = embed_views(rows, [BY_NAME["rewritten"], BY_NAME["predictions"]], space)
        vectors = space.encoder.encode(["poem", "formal tone", "story", "email"])
        assert found.shape == (2, 2, 6)
        np.testing.assert_allclose(found[0], vectors[[0, 3]], atol=1e-5)
        np.testing.assert_allclose(found[1, 0], vectors[1:3].mean(axis=0), atol=1e-5)
        assert not found[1, 1].any()

    def test_blank_strings_count_as_none(self, space):
        view = RowView("odd", lambda row: (" \n", row.original, ""))
        [[found]] = embed_views([row(original="poem")], [view], space)
        np.testing.assert_allclose(found, space.encoder.encode(["poem"])[0], atol=1e-5)
        assert not embed_views([row(original="\t")], [view], space).any()

    def test_a_user_adds_a_view_in_a_line(self, space):
        title = RowView("title", lambda row: row.rewritten.partition("**")[2].partition("**")[0])
        rows = [row("**formal email**\nstory"), row("story")]
        found = embed_views(rows, (*VIEWS, title), space)
        assert len(found) == len(VIEWS) + 1
        np.testing.assert_allclose(
            found[-1], [space.encoder.encode(["formal email"])[0], np.zeros(6)], atol=1e-5
        )

    def test_each_string_is_embedded_once(self):
        space = EmbeddingSpace(FakeEncoder(seed=83))
        rows = [row("poem", "poem", original="poem"), row("poem", original="story")]
        embed_views(rows, [BY_NAME[name] for name in ("original", "first line", "predictions")],
                    space)  # fmt: skip
        assert space.encoder.encoded == 2

    def test_nothing_to_embed_is_no_error(self, space):
        assert embed_views([row(original="")], [BY_NAME["original"]], space).shape == (1, 1, 6)
        assert embed_views([], VIEWS, space).shape == (len(VIEWS), 0, 6)
        assert embed_views([row()], [], space).shape == (0, 1, 6)

    def test_the_deadline_is_kept(self):
        space = EmbeddingSpace(FakeEncoder(seed=84))
        with pytest.raises(OutOfTimeError):
            embed_views([row("poem")], VIEWS, space, Deadline(0))


def test_rows_with_an_opener_have_their_views_twice():
    rows = [row("Here is the text as a poem"), row("A poem")]
    views = [BY_NAME["original"], BY_NAME["rewritten"], BY_NAME["subject"]]
    vectors = np.arange(1, 13, dtype=np.float32).reshape(3, 2, 2)
    found = split_by_opener(vectors, rows, views)
    np.testing.assert_array_equal(found[:3], vectors)
    np.testing.assert_array_equal(found[3:, 0], vectors[1:, 0])
    assert found.shape == (5, 2, 2)
    assert not found[3:, 1].any()
