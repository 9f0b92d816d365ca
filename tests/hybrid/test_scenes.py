"""Candidates of rows: compared with all that is known, and only strings that can be an answer."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from mean_prompt.corpus.triples import Rows, Triples
from mean_prompt.encoder.space import EmbeddingSpace
from mean_prompt.hybrid.candidates import CandidateFactory
from mean_prompt.hybrid.posterior import scs_between, signs_of
from mean_prompt.hybrid.retrieval import EmbeddedRows, KnownRows, Retriever
from mean_prompt.hybrid.scenes import SceneBuilder
from mean_prompt.hybrid.settings import BlendSettings
from mean_prompt.hybrid.submission import is_null_to_pandas
from mean_prompt.objective.scs import ExpectedSCS
from mean_prompt.system.deadline import Deadline, OutOfTimeError
from mean_prompt.training.vector import VectorPredictor
from tests.hybrid.synthetic import UNIVERSAL, encoder, tongue

pytestmark = pytest.mark.usefixtures("one_thread")

KNOWN = tongue(repeats=1)
ROWS = Rows(("a", "b", "c"), ("thing0 thing1", "", "thing2"), ("style0 style1", "style2", "thing2"))
PREDICTIONS = (("please turn style0", "make it style1"), ("make it style2",), ("turn it",))
SETTINGS = BlendSettings()


@pytest.fixture(scope="module")
def space():
    return EmbeddingSpace(encoder())


@pytest.fixture(scope="module")
def predictor(space):
    return VectorPredictor(space=space).fit(KNOWN.triples, KNOWN.predictions)


@pytest.fixture(scope="module")
def embed(predictor):
    """Return a function that embeds rows."""

    def embed(rows=ROWS, predictions=PREDICTIONS):
        return EmbeddedRows.embed(rows, predictions, predictor)

    return embed


@pytest.fixture(scope="module")
def builder(space, predictor):
    """Return a function that makes a builder which knows the known rows."""
    known = KnownRows.embed(KNOWN.triples, KNOWN.predictions, predictor)
    retriever = Retriever(known)
    objectives = [ExpectedSCS(retriever.bank.vectors)]

    def make(*, with_llm=True, max_tokens=8, space=space):
        factory = CandidateFactory(UNIVERSAL)
        return SceneBuilder(space, factory, retriever, objectives, max_tokens, with_llm=with_llm)

    return make


def test_each_row_is_compared_with_what_is_known_of_it(embed, builder):
    rows = embed()
    bank = builder().retriever.bank
    for row, found in enumerate(builder().build(rows)):
        texts = [one.text for one in found.candidates]
        assert set(PREDICTIONS[row]) <= set(texts)
        np.testing.assert_array_equal(found.vectors, encoder().encode(texts))
        expected = scs_between(found.vectors, encoder().encode(PREDICTIONS[row])).mean(axis=1)
        np.testing.assert_allclose(found.llm, expected)
        np.testing.assert_array_equal(found.by_text.middle, rows.by_text.vectors[row])
        np.testing.assert_array_equal(found.by_all.middle, rows.by_all.vectors[row])
        signs = signs_of(rows.means[row], found.by_text.middle, rows.originals[row],
                         rows.rewritten[row], bank.vectors)  # fmt: skip
        np.testing.assert_allclose(found.signs, signs)
        alone = builder().build(rows.take(np.array([row])))[0]
        np.testing.assert_allclose(alone.features(SETTINGS), found.features(SETTINGS), atol=1e-5)


def test_a_known_row_is_compared_with_prompts_of_other_groups_alone(predictor):
    """Of three prompts each, the last is nearly the first."""
    prompts = tuple(f"make it style{n % 2} style{n // 3}{'!' * (n % 3 > 1)}" for n in range(12))
    triples = Triples(KNOWN.triples.rows.take(range(12)), prompts)
    known = KnownRows.embed(triples, KNOWN.predictions[:12], predictor)
    retriever = Retriever(known)
    builder = SceneBuilder(
        predictor.space,
        CandidateFactory(UNIVERSAL),
        retriever,
        [ExpectedSCS(retriever.bank.vectors)],
        8,
        with_llm=True,
    )
    sizes = np.bincount(known.groups)
    assert set(sizes) == {1, 2}
    vectors = encoder().encode(prompts)
    for row, found in enumerate(builder.build(known.rows, own=known.groups)):
        others = np.flatnonzero(known.groups != known.groups[row])
        for near in (found.by_text, found.by_all):
            assert set(near.numbers[near.numbers >= 0]) == set(others)
        retrieved = {one.text for one in found.candidates if one.kind == "retrieved"}
        assert retrieved <= {prompts[other] for other in others}
        expected = scs_between(found.vectors, vectors[others]).mean(axis=1)
        np.testing.assert_allclose(found.known[:, 0], expected, atol=1e-5)
        rows = known.rows
        signs = signs_of(rows.means[row], found.by_text.middle, rows.originals[row],
                         rows.rewritten[row], vectors[others])  # fmt: skip
        np.testing.assert_allclose(found.signs, signs, atol=1e-6)


def test_neighbours_are_candidates_the_nearest_first(embed, builder):
    found = builder(with_llm=False).build(embed())[0]
    retrieved = [one.text for one in found.candidates if one.kind == "retrieved"]
    bank = builder().retriever.bank
    assert retrieved == [bank.prompts[n] for n in found.by_text.numbers[:8]]
    assert (np.diff(found.by_text.cosines) <= 0).all()


def test_without_predictions_nothing_is_made_of_them(embed, builder):
    for found in builder(with_llm=False).build(embed()):
        assert found.by_all is found.llm is found.signs is None
        kinds = {one.kind for one in found.candidates}
        assert kinds <= {"universal", "line", "retrieved", "joined", "affixed"}


@pytest.mark.parametrize("budget", [2, 5])
def test_answers_are_within_the_budget(space, embed, builder, budget):
    found = builder(max_tokens=budget).build(embed())
    longest = [max(space.tokens([one.text for one in row.candidates])) for row in found]
    assert max(longest) == budget
    assert all(row.candidates[0].kind == "universal" for row in found)


@settings(deadline=None, max_examples=25,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.lists(st.sampled_from(["None", "nan", "NULL", "N/A", "", " ", "style0", "<NA>", "."])
                | st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
                min_size=1, max_size=3))  # fmt: skip
def test_no_answer_is_blank_or_read_as_missing(space, embed, builder, texts):
    [found] = builder().build(embed(ROWS.take([0]), [tuple(texts)]))
    answers = [one.text for one in found.candidates]
    assert answers[0] == UNIVERSAL
    assert all(text.strip() and not is_null_to_pandas(text) for text in answers)
    assert max(space.tokens(answers)) <= 8


def test_no_rows_have_no_candidates(embed, builder):
    assert builder().build(embed(Rows((), (), ()), [])) == []


def test_the_deadline_is_checked_while_candidates_are_embedded(embed, builder):
    fresh = EmbeddingSpace(encoder(seed=5))
    with pytest.raises(OutOfTimeError):
        builder(space=fresh).build(embed(), deadline=Deadline(0))
