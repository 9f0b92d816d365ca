"""Evaluation: no prompt on both sides, every score one that can be computed by hand."""

import json

import numpy as np
import pytest

from mean_prompt.corpus.triples import Triples
from mean_prompt.hybrid.comparison import evaluate, swapped
from mean_prompt.hybrid.evaluation import HYBRID, LLM, NEAREST, ORACLE, UNIVERSAL, VECTOR
from mean_prompt.hybrid.options import BlendOptions
from mean_prompt.hybrid.predictor import HybridPredictor
from tests.hybrid.synthetic import UNIVERSAL as STRING, encoder, tongue

pytestmark = pytest.mark.usefixtures("one_thread")

WORLD = tongue(repeats=2)
TRIPLES = WORLD.triples
CONCATENATIONS = ("LLM + universal", "universal + LLM", "LLM + nearest prompt")


OPTIONS = BlendOptions(model=encoder(), max_tokens=12, trials=1)


SEEN = {}


def spied_evaluate(triples, *predictions):
    """Return an evaluation, and what its predictors were fitted to and what they were asked."""
    fit, decide = HybridPredictor.fit, HybridPredictor.decide
    fitted, tested = [], []

    def spied_fit(predictor, known, given):
        fitted.append((known, given))
        return fit(predictor, known, given)

    def spied_decide(predictor, rows, given):
        tested.append((rows, given))
        return decide(predictor, rows, given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HybridPredictor, "fit", spied_fit)
        patch.setattr(HybridPredictor, "decide", spied_decide)
        return evaluate(triples, STRING, OPTIONS, *predictions), fitted, tested


@pytest.fixture(scope="module")
def spied():
    return spied_evaluate(TRIPLES, WORLD.predictions)


@pytest.fixture(scope="module")
def with_llm(spied):
    return spied[0]


@pytest.fixture(scope="module")
def without():
    """An evaluation without an LLM.

    ``SEEN`` is the best SCS of each row's candidates, and that of the vector predicted for it.
    """
    pools, encode = HybridPredictor.pools, encoder().encode
    SEEN["best"], SEEN["vector"] = np.zeros((2, len(TRIPLES)))

    def spied(predictor, rows, predictions):
        found = pools(predictor, rows, predictions)
        vectors = predictor.vectors_.predict(rows)
        for name, pool, vector in zip(rows.ids, found, vectors, strict=True):
            row = TRIPLES.rows.ids.index(name)
            [truth] = encode([TRIPLES.prompts[row]])
            SEEN["best"][row] = (encode(pool) @ truth).max() ** 3
            SEEN["vector"][row] = (vector @ truth) ** 3
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HybridPredictor, "pools", spied)
        return evaluate(TRIPLES, STRING, OPTIONS)


def earned(texts):
    encode = encoder().encode
    return np.einsum("nd,nd->n", encode(texts), encode(TRIPLES.prompts)).astype(np.float64) ** 3


class TestGrouping:
    def test_no_prompt_is_known_where_it_is_tested(self, spied):
        found, *parts = spied
        ids, predictions = list(TRIPLES.rows.ids), WORLD.predictions
        assert found.rows == 72
        numbers = []
        for (known, given), (rows, asked) in zip(*parts, strict=True):
            tested = [ids.index(name) for name in rows.ids]
            assert set(known.prompts).isdisjoint(TRIPLES.prompts[row] for row in tested)
            assert list(asked) == [predictions[row] for row in tested]
            assert list(given) == [predictions[ids.index(name)] for name in known.rows.ids]
            numbers += tested
        assert sorted(numbers) == list(range(len(TRIPLES)))

    def test_nor_is_one_that_is_nearly_the_same(self):
        some = TRIPLES.take(range(20))
        prompts = tuple(f"{text}{'!' * (n % 2)}" for n, text in enumerate(some.prompts))
        assert len(set(prompts)) == 20
        found, *parts = spied_evaluate(Triples(some.rows, prompts))
        assert found.groups == 20
        for (known, _), (rows, _) in zip(*parts, strict=True):
            assert len(rows) == 4
            tested = {prompts[some.rows.ids.index(name)].rstrip("!") for name in rows.ids}
            assert tested.isdisjoint(text.rstrip("!") for text in known.prompts)


class TestScores:
    def test_those_that_need_no_fit_are_as_by_hand(self, with_llm):
        said = [texts[0] for texts in WORLD.predictions]
        for name, texts in {
            UNIVERSAL: [STRING] * len(TRIPLES),
            LLM: said,
            "LLM + universal": [f"{text} {STRING}" for text in said],
            "universal + LLM": [f"{STRING} {text}" for text in said],
        }.items():
            values = earned(texts)
            method = with_llm.of(name)
            assert method.mean == pytest.approx(values.mean(), abs=1e-6), name
            assert method.difference == pytest.approx((values - earned(said)).mean(), abs=1e-6), (
                name
            )
            assert method.ratio == pytest.approx(values.mean() / earned(said).mean(), rel=1e-5)
            assert method.mean in method.interval
            assert method.difference in method.difference_interval

    def test_llm_alone_is_what_it_wrote_first(self):
        some, predictions = TRIPLES.take(range(12)), WORLD.predictions[:12]
        raw = [(), *((f"please {texts[0]}", texts[0]) for texts in predictions[1:])]
        found = evaluate(some, STRING, OPTIONS, predictions, raw)
        texts = [STRING, *(texts[0] for texts in raw[1:])]
        encode = encoder().encode
        expected = (np.einsum("nd,nd->n", encode(texts), encode(some.prompts)) ** 3).mean()
        assert found.of(LLM).mean == pytest.approx(expected, abs=1e-6)
        assert found.reference == LLM

    def test_the_hybrid_is_better_than_its_parts_and_the_oracle_than_the_hybrid(self, with_llm):
        hybrid = with_llm.of(HYBRID)
        assert hybrid.mean > 1.2 * with_llm.of(LLM).mean
        assert hybrid.difference_interval.low > 0
        for name in (UNIVERSAL, NEAREST, *CONCATENATIONS):
            assert hybrid.mean > with_llm.of(name).mean, name
        oracle = with_llm.of(ORACLE)
        for method in with_llm.methods:
            # Some concatenations are too long to be an answer, and a vector is none at all.
            if method.name not in {*CONCATENATIONS, VECTOR}:
                assert oracle.mean > method.mean - 1e-3, method.name

    def test_methods_stand_best_first_and_those_that_answer_nothing_last(self, with_llm, without):
        names = {UNIVERSAL, NEAREST, HYBRID, ORACLE, VECTOR}
        assert {method.name for method in without.methods} == names
        assert {method.name for method in with_llm.methods} == {*names, LLM, *CONCATENATIONS}
        for found in (with_llm, without):
            *others, first, last = found.methods
            assert {first.name, last.name} == {ORACLE, VECTOR}
            means = [method.mean for method in others]
            assert means == sorted(means, reverse=True)

    def test_without_an_llm_the_universal_string_is_the_reference(self, without):
        assert without.reference == UNIVERSAL
        base = without.of(UNIVERSAL)
        assert (base.difference, base.ratio) == (0, 1)
        assert (base.difference_interval.low, base.difference_interval.high) == (0, 0)
        assert without.of(HYBRID).ratio > 1.5
        assert without.of(ORACLE).mean > without.of(HYBRID).mean > without.of(NEAREST).mean

    def test_intervals_are_those_of_prompts_and_not_of_rows(self, with_llm):
        """Rows of a prompt stand and fall together: a bootstrap over rows would be too narrow."""
        values = earned([STRING] * len(TRIPLES))
        interval = with_llm.of(UNIVERSAL).interval
        groups = TRIPLES.groups()
        means = np.array([values[groups == group].mean() for group in np.unique(groups)])
        spread = 2 * 1.96 * means.std() / np.sqrt(len(means))
        assert interval.high - interval.low == pytest.approx(spread, rel=0.15)

    def test_where_rules_decide_all_rows_nothing_is_expected(self):
        """Also as JSON, which has no NaN."""
        some = TRIPLES.take(range(20))
        found = evaluate(some, STRING, OPTIONS, WORLD.predictions[:20])  # too few to weigh
        assert found.expected is None
        assert found.kinds == {"prediction": 20}
        assert "NaN" not in json.dumps(found.as_dict())


def test_the_oracle_is_the_best_of_each_rows_candidates(without):
    assert without.of(ORACLE).mean == pytest.approx(SEEN["best"].mean(), abs=1e-5)


def test_the_predicted_vector_is_that_of_rows_of_other_prompts(without):
    assert without.of(VECTOR).mean == pytest.approx(SEEN["vector"].mean(), abs=1e-5)


class TestGroups:
    def test_winners_and_losers_are_sorted_by_what_they_gain(self, with_llm):
        def gain(group):
            return group.rows * (group.hybrid - group.reference)

        gains = [gain(group) for group in with_llm.winners]
        losses = [gain(group) for group in with_llm.losers]
        assert len(gains) == len(losses) == 5
        assert gains == sorted(gains, reverse=True)
        assert losses == sorted(losses)
        assert gains[0] > 0
        assert gains[-1] >= losses[-1]
        winner = with_llm.winners[0]
        rows = [n for n, prompt in enumerate(TRIPLES.prompts) if prompt == winner.prompt]
        assert winner.rows == len(rows) == 2
        said = earned([texts[0] for texts in WORLD.predictions])
        assert winner.reference == pytest.approx(said[rows].mean(), abs=1e-6)


class TestSwapped:
    TEXTS = tuple((f"p{number}",) for number in range(40))

    @pytest.mark.parametrize("share", [0, 0.125, 1])
    def test_it_moves_exactly_the_share(self, share):
        mixed = swapped(self.TEXTS, share)
        moved = [row for row in range(40) if mixed[row] != self.TEXTS[row]]
        assert len(moved) == round(share * 40)
        # Each of them has what another of them had.
        assert sorted(mixed[row] for row in moved) == sorted(self.TEXTS[row] for row in moved)
        assert sorted(mixed) == sorted(self.TEXTS)
