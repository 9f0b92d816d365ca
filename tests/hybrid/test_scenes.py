"""From rows to scenes: what is known of each, and only what can be an answer."""

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from mean_prompt.corpus.rows import Rows
from mean_prompt.hybrid.candidates import CandidateFactory, Choice
from mean_prompt.hybrid.keys import Key
from mean_prompt.hybrid.posterior import Posterior, feature_names, mean_scs, signs_of
from mean_prompt.hybrid.retrieval import Bank, Retriever
from mean_prompt.hybrid.scenes import MOST_PREDICTIONS, EmbeddedRows, SceneBuilder
from mean_prompt.hybrid.space import Space
from mean_prompt.hybrid.submission import is_null_to_pandas
from mean_prompt.objective.scs import ExpectedSCS
from mean_prompt.system.deadline import Clock, OutOfTimeError
from tests.hybrid.synthetic import UNIVERSAL, encoder, tongue

pytestmark = pytest.mark.usefixtures("one_thread")

KNOWN = tongue(repeats=1)
ROWS = Rows(("a", "b", "c"), ("thing0 thing1", "", "thing2"), ("style0 style1", "style2", "thing2"))
PREDICTIONS = (("please turn style0", "make it style1"), ("make it style2",), ("turn it",))


@pytest.fixture(scope="module")
def space():
    return Space(encoder())


def embed(space, rows=ROWS, predictions=PREDICTIONS):
    return EmbeddedRows.embed(rows, predictions, space)


@pytest.fixture(scope="module")
def stage(space):
    """Return what makes a stage on which the known rows are known."""
    known = embed(space, KNOWN.triples.rows, KNOWN.predictions)
    bank = Bank.of(KNOWN.triples, space.exact(KNOWN.triples.prompts))

    def make(*, with_llm=True, max_tokens=8, kitchen=None, space=space):
        by_text = Retriever(Key("ridge", ("rewritten",)), known.vectors, bank)
        by_all = Retriever(Key("raw", ("rewritten", "prediction")), known.vectors, bank)
        return SceneBuilder(space, kitchen or CandidateFactory(UNIVERSAL, ["please"]), by_text,
                     by_all if with_llm else None, [ExpectedSCS(bank.vectors)],
                     max_tokens)  # fmt: skip

    return make


class TestEmbeddedRows:
    def test_texts_and_predictions_are_embedded(self, space):
        rows = embed(space)
        encode = encoder().encode
        np.testing.assert_array_equal(rows.vectors.originals, encode(ROWS.originals))
        np.testing.assert_array_equal(rows.vectors.rewritten, encode(ROWS.rewritten))
        for samples, texts in zip(rows.samples, PREDICTIONS, strict=True):
            np.testing.assert_array_equal(samples, encode(texts))
        mean = encode(PREDICTIONS[0]).mean(axis=0)
        np.testing.assert_allclose(rows.vectors.predictions[0], mean / np.linalg.norm(mean),
                                   atol=1e-6)  # fmt: skip

    def test_only_the_likeliest_predictions_count(self, space):
        many = tuple(f"make it style{n}" for n in range(9))
        rows = embed(space, ROWS.take([0]), [many])
        assert rows.predictions == (many[:MOST_PREDICTIONS],)
        assert len(rows.samples[0]) == MOST_PREDICTIONS

    def test_some_rows_may_have_no_prediction(self, space):
        rows = embed(space, predictions=[PREDICTIONS[0], (), PREDICTIONS[2]])
        assert rows.vectors.predictions is None
        assert rows.with_prediction().tolist() == [0, 2]
        assert rows.samples[1].shape == (0, 24)
        said = rows.take(np.array([2, 0]))
        expected = embed(space).vectors.predictions[[2, 0]]
        np.testing.assert_allclose(said.vectors.predictions, expected, atol=1e-6)
        assert said.predictions == (PREDICTIONS[2], PREDICTIONS[0])

    @pytest.mark.parametrize("predictions", [None, [(), (), ()]])
    def test_no_row_needs_one(self, space, predictions):
        rows = embed(space, predictions=predictions)
        assert rows.vectors.predictions is None
        assert rows.predictions == ((), (), ())
        assert len(rows.with_prediction()) == 0
        assert len(rows) == 3

    def test_predictions_can_be_left_out(self, space):
        bare = embed(space).without_predictions()
        assert bare.vectors.predictions is None
        assert bare.predictions == ((),) * 3
        assert [samples.shape for samples in bare.samples] == [(0, 24)] * 3

    def test_no_rows(self, space):
        rows = embed(space, Rows((), (), ()), [])
        assert len(rows) == len(rows.take(np.array([], np.int64))) == 0

    @pytest.mark.parametrize("count", [1, 4])
    def test_each_row_must_have_its_predictions(self, space, count):
        with pytest.raises(ValueError, match=f"3 rows and {count} of predictions"):
            embed(space, predictions=[("make it",)] * count)


class TestStage:
    def test_a_scene_is_of_its_row(self, space, stage):
        rows = embed(space)
        scenes = stage().scenes(rows)
        bank = Bank.of(KNOWN.triples, space.exact(KNOWN.triples.prompts))
        for row, scene in enumerate(scenes):
            texts = [one.text for one in scene.candidates]
            assert set(PREDICTIONS[row]) <= set(texts)
            np.testing.assert_array_equal(scene.vectors, encoder().encode(texts))
            expected = mean_scs(scene.vectors, encoder().encode(PREDICTIONS[row]))
            np.testing.assert_allclose(scene.llm, expected)
            signs = signs_of(rows.vectors.predictions[row], scene.by_text.middle,
                             rows.vectors.originals[row], rows.vectors.rewritten[row],
                             bank)  # fmt: skip
            np.testing.assert_allclose(scene.signs, signs)
            alone = stage().scenes(rows.take(np.array([row])))[0]
            np.testing.assert_allclose(alone.features(Posterior()), scene.features(Posterior()),
                                       atol=1e-5)  # fmt: skip

    def test_neighbours_are_candidates_the_nearest_first(self, space, stage):
        scene = stage(with_llm=False).scenes(embed(space).without_predictions())[0]
        retrieved = [one.text for one in scene.candidates if one.kind == "retrieved"]
        bank = Bank.of(KNOWN.triples, space.exact(KNOWN.triples.prompts))
        assert retrieved == [bank.prompts[n] for n in scene.by_text.numbers[:8]]
        assert (np.diff(scene.by_text.cosines) <= 0).all()

    def test_without_predictions_nothing_is_known_of_them(self, space, stage):
        for scene in stage(with_llm=False).scenes(embed(space)):
            assert scene.by_all is scene.llm is scene.signs is None
            assert {one.kind for one in scene.candidates} <= {"universal", "retrieved", "joined",
                                                              "affixed"}  # fmt: skip
            names = feature_names(with_llm=False, with_corpus=False)
            assert scene.features(Posterior()).shape[1] == len(names)

    def test_only_what_is_chosen_is_made(self, space, stage):
        choice = Choice(heads=0, shortened=False, joined=None, affixed=False)
        for scene in stage().scenes(embed(space), choice):
            assert {one.kind for one in scene.candidates} == {"universal", "prediction",
                                                              "retrieved"}  # fmt: skip

    @pytest.mark.parametrize("budget", [2, 4, 5, 8])
    def test_answers_are_within_the_budget(self, space, stage, budget):
        scenes = stage(max_tokens=budget).scenes(embed(space))
        longest = [max(space.tokens([one.text for one in s.candidates])) for s in scenes]
        assert max(longest) <= budget
        assert budget < 4 or max(longest) == budget
        assert all(scene.candidates[0].kind == "universal" for scene in scenes)

    @settings(deadline=None, max_examples=40,
              suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
    @given(st.lists(st.sampled_from(["None", "nan", "NULL", "N/A", "", " ", "style0", "<NA>", "."])
                    | st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
                    min_size=1, max_size=3))  # fmt: skip
    def test_no_answer_is_blank_or_read_as_none(self, space, stage, texts):
        [scene] = stage().scenes(embed(space, ROWS.take([0]), [tuple(texts)]))
        answers = [one.text for one in scene.candidates]
        assert answers[0] == UNIVERSAL
        assert all(text.strip() and not is_null_to_pandas(text) for text in answers)
        assert max(space.tokens(answers)) <= 8

    def test_the_nearest_known_prompt_is_told(self, space, stage):
        near = stage(with_llm=False)
        scenes = near.scenes(embed(space).without_predictions())
        bank = Bank.of(KNOWN.triples, space.exact(KNOWN.triples.prompts))
        assert near.nearest(embed(space)) == [bank.prompts[s.by_text.numbers[0]] for s in scenes]

    def test_no_rows_have_no_scenes(self, space, stage):
        assert stage().scenes(embed(space, Rows((), (), ()), [])) == []

    def test_the_clock_is_asked_while_candidates_are_encoded(self, stage):
        fresh = Space(encoder(seed=5))
        rows = EmbeddedRows.embed(ROWS, PREDICTIONS, fresh)
        with pytest.raises(OutOfTimeError):
            stage(space=fresh).scenes(rows, clock=Clock(time.monotonic() - 1))
