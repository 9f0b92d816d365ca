"""Retrieval: the known prompts around the point at which a row's prompt is expected."""

import numpy as np
import pytest

from mean_prompt.corpus.triples import Rows, Triples
from mean_prompt.encoder.space import EmbeddingSpace
from mean_prompt.hybrid import index as module
from mean_prompt.hybrid.retrieval import (
    Bank,
    EmbeddedRows,
    KnownRows,
    Retriever,
    grouped_folds,
    softmax_weights,
)
from mean_prompt.objective import normalized
from mean_prompt.system.deadline import Deadline, OutOfTimeError
from mean_prompt.system.errors import InputError
from mean_prompt.training.vector import VectorPredictor
from mean_prompt.training.views import MOST_PREDICTIONS, Row
from tests.hybrid.synthetic import encoder, tongue

pytestmark = pytest.mark.usefixtures("one_thread")

WIDTH = 8
WORLD = tongue(repeats=1)


def noise(count, seed):
    return normalized(np.random.default_rng(seed).standard_normal((count, WIDTH)))


@pytest.fixture(scope="module")
def predictor():
    space = EmbeddingSpace(encoder())
    return VectorPredictor(space=space).fit(WORLD.triples, WORLD.predictions)


def known_rows(prompts, vectors, groups):
    """Return known rows of which nothing but the prompts is there."""
    return KnownRows(None, tuple(prompts), vectors, np.array(groups))


class TestRows:
    ROWS = Rows(("a", "b", "c"), ("thing0 thing1", "", "thing2"), ("style0", "style2", "thing2"))
    PREDICTIONS = (("please turn style0", "make it style1"), (), ("turn it",))

    def test_texts_and_predictions_are_embedded(self, predictor):
        rows = EmbeddedRows.embed(self.ROWS, self.PREDICTIONS, predictor)
        encode = encoder().encode
        np.testing.assert_array_equal(rows.originals, encode(self.ROWS.originals))
        np.testing.assert_array_equal(rows.rewritten, encode(self.ROWS.rewritten))
        assert rows.with_prediction().tolist() == [0, 2]
        np.testing.assert_array_equal(rows.samples[0], encode(self.PREDICTIONS[0]))
        assert rows.samples[1].shape == (0, 24)
        mean = encode(self.PREDICTIONS[0]).mean(axis=0)
        np.testing.assert_allclose(rows.means[0], mean / np.linalg.norm(mean), atol=1e-6)
        assert not rows.means[1].any()
        assert rows.rows[0] == Row("thing0 thing1", "style0", self.PREDICTIONS[0],
                                   predictor.wording_)  # fmt: skip

    def test_prompts_are_expected_by_texts_alone_and_with_predictions(self, predictor):
        rows = EmbeddedRows.embed(self.ROWS, self.PREDICTIONS, predictor)
        by_text = predictor.predict(self.ROWS)
        np.testing.assert_array_equal(rows.by_text.vectors, by_text)
        by_all = predictor.predict(self.ROWS, self.PREDICTIONS)
        np.testing.assert_array_equal(rows.by_all.vectors, by_all)
        differ = (rows.by_text.vectors != rows.by_all.vectors).any(axis=1)
        assert differ.tolist() == [True, False, True]

    def test_known_rows_are_expected_where_rows_of_other_prompts_lead_to(self, predictor):
        rows = WORLD.triples.rows
        found = {
            known: EmbeddedRows.embed(rows, WORLD.predictions, predictor, known=known)
            for known in (True, False)
        }
        for side, fitted in (("by_text", predictor.text_), ("by_all", predictor.llm_)):
            left_out = getattr(found[True], side).vectors
            np.testing.assert_array_equal(left_out, fitted.left_out.vectors)
            assert (left_out != getattr(found[False], side).vectors).any(axis=1).all()

    def test_some_rows_keep_all_that_is_theirs(self, predictor):
        rows = EmbeddedRows.embed(self.ROWS, self.PREDICTIONS, predictor)
        some = rows.take(np.array([2, 0]))
        assert some.rows == (rows.rows[2], rows.rows[0])
        for name in ("means", "originals", "rewritten"):
            np.testing.assert_array_equal(getattr(some, name), getattr(rows, name)[[2, 0]])
        for name in ("by_text", "by_all"):
            vectors = getattr(rows, name).vectors[[2, 0]]
            np.testing.assert_array_equal(getattr(some, name).vectors, vectors)
        assert some.predictions == (self.PREDICTIONS[2], self.PREDICTIONS[0])
        assert len(rows.take(np.array([], np.int64))) == 0

    def test_only_the_likeliest_predictions_are_used(self, predictor):
        many = tuple(f"make it style{n}" for n in range(9))
        rows = EmbeddedRows.embed(self.ROWS.take([0]), [many], predictor)
        assert rows.predictions == (many[:MOST_PREDICTIONS],)
        assert rows.rows[0].predictions == many[:MOST_PREDICTIONS]
        assert len(rows.samples[0]) == MOST_PREDICTIONS

    def test_the_deadline_ends_it(self):
        fresh = EmbeddingSpace(encoder(seed=7))
        some = VectorPredictor(space=fresh).fit(WORLD.triples.take(range(5)))
        with pytest.raises(OutOfTimeError):
            EmbeddedRows.embed(self.ROWS, self.PREDICTIONS, some, deadline=Deadline(0))

    def test_rows_are_scaled_to_unit_length_but_zeros(self):
        scaled = normalized(np.array([[3.0, 4.0], [0.0, 0.0]]))
        np.testing.assert_allclose(scaled, [[0.6, 0.8], [0, 0]], atol=1e-7)
        assert scaled.dtype == np.float32


class TestKnown:
    PROMPTS = ("make it style0 style1", "make it style2 style3", "make it style0 style1!",
               "Make  it STYLE0 style1")  # fmt: skip

    @pytest.fixture
    def known(self, predictor):
        triples = Triples(WORLD.triples.rows.take(range(4)), self.PROMPTS)
        return KnownRows.embed(triples, None, predictor)

    def test_nearly_equal_prompts_are_in_one_group(self, known):
        first, second, *others = known.groups
        assert others == [first, first]
        assert second != first

    def test_texts_longer_than_the_model_reads_are_counted(self):
        some = VectorPredictor(space=EmbeddingSpace(encoder(max_tokens=5))).fit(WORLD.triples)
        assert KnownRows.embed(WORLD.triples, None, some).cut == 36  # four words, and two more

    def test_some_keep_all_that_is_theirs(self, known):
        numbers = np.array([2, 1])
        some = known.take(numbers)
        assert some.prompts == (self.PROMPTS[2], self.PROMPTS[1])
        np.testing.assert_array_equal(some.groups, known.groups[numbers])
        np.testing.assert_array_equal(some.targets, encoder().encode(some.prompts))
        np.testing.assert_array_equal(some.rows.rewritten, known.rows.rewritten[numbers])


def test_equal_prompts_are_one_in_any_case_and_spacing():
    prompts = ["Make it rhyme", "Sing", "make  it RHYME ", "Sing!", "sing"]
    vectors = noise(5, 0)
    bank = Bank.of(known_rows(prompts, vectors, [7, 4, 7, 4, 4]))
    assert bank.prompts == ("Make it rhyme", "Sing", "Sing!")
    np.testing.assert_array_equal(bank.vectors, vectors[[0, 1, 3]])
    assert bank.groups.tolist() == [7, 4, 4]


class TestWeights:
    def test_they_are_the_softmax(self):
        cosines = np.array([[0.9, 0.5, 0.1]], np.float32)
        raised = np.exp(np.array([0.9, 0.5, 0.1]) / 0.2)
        found = softmax_weights(cosines, np.array([[4, 2, 0]]), 0.2)
        np.testing.assert_allclose(found[0], raised / raised.sum(), rtol=1e-6)

    def test_who_is_not_there_has_no_share(self):
        cosines = np.array([[0.5, 0.5, -1.0, 0.99], [-1.0, -1.0, -1.0, -1.0]], np.float32)
        numbers = np.array([[3, 7, -1, -1], [-1, -1, -1, -1]])
        assert softmax_weights(cosines, numbers, 0.05).tolist() == [[0.5, 0.5, 0, 0], [0, 0, 0, 0]]

    @pytest.mark.parametrize("temperature", [1e-310, 1e-9, 1e-4])
    def test_cold_gives_all_to_the_nearest(self, temperature):
        cosines, numbers = np.array([[0.9, 0.8, -0.9]], np.float32), np.array([[1, 2, 3]])
        assert softmax_weights(cosines, numbers, temperature).tolist() == [[1, 0, 0]]


class TestRetriever:
    """Forty prompts, of which three are nearly the same, or one is alone."""

    GROUPS = np.repeat(np.arange(20), [3, 1] * 10)
    CENTRES = noise(25, 1)

    @pytest.fixture
    def retriever(self):
        return Retriever(known_rows([f"prompt {n}" for n in range(40)], noise(40, 0), self.GROUPS))

    def test_the_nearest_prompts_are_found(self, retriever):
        found = retriever.retrieve(self.CENTRES, 7)
        cosines = self.CENTRES @ noise(40, 0).T
        nearest = np.argsort(-cosines, axis=1)[:, :7]
        np.testing.assert_array_equal(found.numbers, nearest)
        np.testing.assert_allclose(
            found.cosines, np.take_along_axis(cosines, nearest, axis=1), atol=1e-6
        )
        np.testing.assert_array_equal(found.centres, self.CENTRES)
        assert retriever.prompts(found, 3) == [f"prompt {number}" for number in nearest[3]]

    @pytest.mark.parametrize("k", [7, 40])
    def test_prompts_of_a_rows_own_group_are_left_out(self, retriever, k):
        cosines = self.CENTRES @ noise(40, 0).T
        # Each row is of the group of the prompt that is nearest to it.
        own = self.GROUPS[cosines.argmax(axis=1)]
        found = retriever.retrieve(self.CENTRES, k, own=own)
        assert found.numbers.shape == found.cosines.shape == (25, k)
        for row in range(25):
            others = np.flatnonzero(own[row] != self.GROUPS)
            nearest = others[np.argsort(-cosines[row, others])][:k]
            count = len(nearest)
            assert count == min(k, 40 - (own[row] == self.GROUPS).sum())
            np.testing.assert_array_equal(found.numbers[row, :count], nearest)
            np.testing.assert_allclose(found.cosines[row, :count], cosines[row, nearest], atol=1e-6)
            assert (found.numbers[row, count:] == -1).all()
            assert (found.cosines[row, count:] == -1).all()
            assert retriever.prompts(found, row) == [f"prompt {number}" for number in nearest]

    def test_neighbours_that_an_index_does_not_find_are_none(self, monkeypatch):
        monkeypatch.setattr(module, "APPROXIMATE_ABOVE", 0)
        # The last prompt has a group of its own: number -1 would read it.
        retriever = Retriever(known_rows(map(str, range(40)), noise(40, 0), self.GROUPS))
        for own in (None, np.full(25, self.GROUPS[-1])):
            found = retriever.retrieve(self.CENTRES, 30, own=own)
            missing = found.numbers < 0
            assert missing.any()
            assert (np.diff(missing.astype(int), axis=1) >= 0).all()  # they come last
            assert (found.cosines[missing] == -1).all()
            for row in range(25):
                assert len(retriever.prompts(found, row)) == (~missing[row]).sum()


class TestFolds:
    def test_every_row_is_tested_once_and_no_group_is_split(self):
        groups = np.arange(90) % 13
        folds = list(grouped_folds(groups))
        for known, test in folds:
            assert set(known) | set(test) == set(range(90))
            assert not set(groups[known]) & set(groups[test])
        assert sorted(np.concatenate([test for _, test in folds])) == list(range(90))
        assert len(folds) == 5

    def test_one_group_cannot_be_divided(self):
        with pytest.raises(InputError, match=r"two different prompts.*found 1 in 3 rows; give"):
            next(grouped_folds(np.zeros(3, np.int64)))
