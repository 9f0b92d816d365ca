"""The predictor of vectors: better than the mean on new prompts, blind to a known row's own."""

import numpy as np
import pytest

from mean_prompt.corpus.triples import Rows, Triples
from mean_prompt.encoder.space import EmbeddingSpace
from mean_prompt.objective.scs import sharpened_cosines
from mean_prompt.system.deadline import Deadline, OutOfTimeError
from mean_prompt.system.errors import InputError
from mean_prompt.training import vector as module
from mean_prompt.training.vector import LEAST_PREDICTED, VectorPredictor, row_keys, views_left_out
from mean_prompt.training.views import VIEWS, RowView, rows_of
from tests.fakes import FakeEncoder
from tests.hybrid.synthetic import STYLES, THINGS, UNIVERSAL, encoder, tongue

TONGUE = tongue()
KNOWN, NEW = TONGUE.halves()
TRIPLES, TESTED = TONGUE.triples.take(KNOWN), TONGUE.triples.take(NEW)


def with_secrets(triples):
    """Add a word to each prompt, and another to its rows' texts, that no other prompt has.

    What the word in the texts tells of the one in the prompt, only rows of the prompt can teach.
    """
    groups = triples.groups()
    rewritten = [
        f"{text} {WORDS[group]}" for text, group in zip(triples.rows.rewritten, groups, strict=True)
    ]
    prompts = [
        f"{prompt} {WORDS[-1 - group]}"
        for prompt, group in zip(triples.prompts, groups, strict=True)
    ]
    rows = Rows(triples.rows.ids, triples.rows.originals, tuple(rewritten))
    return Triples(rows, tuple(prompts))


SPOKEN = ("make", "it", *STYLES, *THINGS)
WORDS = [f"secret{number}" for number in range(72)]


def predictor(model=None, **options):
    return VectorPredictor(space=EmbeddingSpace(model or encoder()), **options)


def earned(vectors, triples, model=None):
    return sharpened_cosines(vectors, (model or encoder()).encode(triples.prompts))


def mean_of(triples):
    mean = encoder().encode(triples.prompts).mean(axis=0)
    return mean / np.linalg.norm(mean)


@pytest.fixture(scope="module")
def by_texts():
    return predictor().fit(TRIPLES)


@pytest.fixture(scope="module")
def by_all():
    """Fitted with predictions that are right for half of the rows."""
    return predictor().fit(TRIPLES, TONGUE.said(KNOWN))


class TestPrediction:
    def test_it_is_better_than_the_mean_on_prompts_not_fitted(self, by_texts):
        found = by_texts.forecast(TESTED.rows)
        mean = earned(np.tile(mean_of(TRIPLES), (len(TESTED), 1)), TESTED)
        scores = earned(found.vectors, TESTED)
        assert scores.mean() > mean.mean() + 0.15
        assert found.expected.mean() == pytest.approx(scores.mean(), abs=0.1)
        np.testing.assert_array_equal(by_texts.predict(TESTED.rows), found.vectors)

    def test_right_predictions_help(self):
        # Rewrites that are the texts tell nothing.
        rows = Rows(TONGUE.triples.rows.ids, *2 * (TONGUE.triples.rows.originals,))
        triples, right = Triples(rows, TONGUE.triples.prompts), NEW[TONGUE.right[NEW]]
        fitted = predictor().fit(triples.take(KNOWN), TONGUE.said(KNOWN))
        tested = triples.take(right)
        plain = fitted.predict(tested.rows)
        better = fitted.predict(tested.rows, TONGUE.said(right))
        assert earned(better, tested).mean() > earned(plain, tested).mean() + 0.2

    def test_rows_without_a_prediction_use_the_texts_alone(self, by_all):
        said = TONGUE.said(NEW)
        some = [texts if row % 3 else () for row, texts in enumerate(said)]
        found, plain = by_all.forecast(TESTED.rows, some), by_all.forecast(TESTED.rows)
        every = by_all.forecast(TESTED.rows, said)
        without = np.arange(len(NEW)) % 3 == 0
        for part in ("vectors", "expected", "familiar"):
            values = getattr(found, part)
            np.testing.assert_allclose(values[without], getattr(plain, part)[without], atol=1e-6)
            np.testing.assert_allclose(values[~without], getattr(every, part)[~without], atol=1e-6)
        assert np.abs(every.vectors - plain.vectors).max(axis=1).min() > 1e-3

    def test_predictions_do_not_count_if_known_rows_had_none(self, by_texts):
        assert by_texts.llm_ is None
        np.testing.assert_array_equal(
            by_texts.predict(TESTED.rows, TONGUE.said(NEW)), by_texts.predict(TESTED.rows)
        )

    def test_too_few_known_predictions_are_not_learned_from(self):
        def fitted(count):
            said = [texts if n < count else () for n, texts in enumerate(TONGUE.said(KNOWN))]
            return predictor().fit(TRIPLES, said).llm_

        assert fitted(LEAST_PREDICTED - 1) is None
        assert fitted(LEAST_PREDICTED).rows.tolist() == list(range(LEAST_PREDICTED))

    def test_no_rows_are_no_error(self, by_all):
        assert by_all.predict(Rows((), (), ())).shape == (0, 24)

    def test_rows_unlike_known_ones_get_the_simpler_predictors_vector(self, by_texts):
        found = by_texts.forecast(Rows(("a", "b"), ("please", ""), ("turn", "")))
        assert not found.familiar.any()
        assert (by_texts.forecast(TESTED.rows).familiar > 0.5).mean() > 0.5
        ladder = by_texts.text_.ladder
        assert (ladder.best.name, ladder.fallback.name) == ("views", "texts")
        # Nothing is known of the blank row but the mean and what the others' features are.
        blank = ladder.fallback.predict(np.zeros((2, 1, 24), np.float32))[0]
        np.testing.assert_allclose(found.vectors[1], blank / np.linalg.norm(blank), atol=1e-5)

    def test_the_same_seed_gives_the_same(self, monkeypatch):
        monkeypatch.setattr(module, "_MOST", 30)

        def forecast(seed):
            return predictor(seed=seed).fit(TRIPLES, TONGUE.said(KNOWN)).predict(TESTED.rows)

        np.testing.assert_array_equal(forecast(1), forecast(1))
        assert np.abs(forecast(1) - forecast(2)).max() > 1e-3

    def test_very_many_known_rows_are_sampled(self, monkeypatch):
        monkeypatch.setattr(module, "_MOST", 30)
        fitted = predictor().fit(TRIPLES)
        assert len(fitted.text_.rows) == len(fitted.text_.left_out) == 30
        assert fitted.text_.keys == row_keys(TRIPLES.rows.take(fitted.text_.rows))


class TestKnownRows:
    def test_they_are_forecast_by_rows_of_other_prompts(self):
        model = FakeEncoder((*SPOKEN, *WORDS), dimension=64, max_tokens=16)
        secret = with_secrets(TONGUE.triples)
        known, new = secret.take(KNOWN), secret.take(NEW)
        fitted = predictor(model).fit(known)
        assert fitted.text_.ladder.best.name != "mean"
        told = earned(fitted.predict(known.rows), known, model).mean()
        left_out = earned(fitted.forecast(known.rows, known=True).vectors, known, model).mean()
        fresh = earned(fitted.predict(new.rows), new, model).mean()
        assert left_out < fresh + 0.02
        assert told > left_out + 0.1

    def test_a_rows_own_prompt_has_no_influence(self):
        # One prompt is replaced: its own rows' forecasts barely move, those of others do not care.
        changed = list(TRIPLES.prompts)
        own = [n for n, prompt in enumerate(changed) if prompt == changed[0]]
        for row in own:
            changed[row] = "please turn"
        other = Triples(TRIPLES.rows, tuple(changed))
        before = predictor().fit(TRIPLES)
        after = predictor().fit(other)
        rows = TRIPLES.rows.take(own)
        seen = np.sum(before.predict(rows) * after.predict(rows), axis=1)
        blind = np.sum(
            before.forecast(rows, known=True).vectors * after.forecast(rows, known=True).vectors,
            axis=1,
        )
        assert (blind > 0.97).all()
        assert (seen < blind).all()

    def test_others_are_forecast_as_always(self, by_all):
        both = np.concatenate([NEW[:5], KNOWN[:5], NEW[5:9]])
        triples, said = TONGUE.triples.take(both), TONGUE.said(both)
        found = by_all.forecast(triples.rows, said, known=True)
        known = by_all.llm_.left_out.take(np.arange(5))
        new = by_all.forecast(triples.rows, said)
        np.testing.assert_array_equal(found.vectors[5:10], known.vectors)
        np.testing.assert_array_equal(found.expected[5:10], known.expected)
        others = np.r_[0:5, 10:14]
        np.testing.assert_allclose(found.vectors[others], new.vectors[others], atol=1e-5)
        assert np.abs(found.vectors[5:10] - new.vectors[5:10]).max() > 1e-3

    def test_rows_are_known_by_both_texts(self):
        keys = row_keys(Rows(("a", "b", "c", "a"), ("x", "xy", "x", "x"), ("yz", "z", "yz", "y")))
        assert len(set(keys)) == 3
        assert keys[0] == keys[2]


class TestViews:
    def test_a_users_view_is_used_if_it_tells(self):
        # The texts are codes that the model does not know, and the view reads them.
        numbers = [[STYLES.index(word) for word in prompt.split()[2:]]
                   for prompt in TONGUE.triples.prompts]  # fmt: skip
        coded = tuple(f"q{a}{b}" for a, b in numbers)
        rows = Rows(TONGUE.triples.rows.ids, ("text",) * len(coded), coded)
        triples = Triples(rows, TONGUE.triples.prompts)
        decode = RowView(
            "decoded",
            lambda row: " ".join(STYLES[int(digit)] for digit in row.rewritten[1:]),
        )
        known, tested = triples.take(KNOWN), triples.take(NEW)
        plain = predictor().fit(known)
        better = predictor(views=(*VIEWS, decode)).fit(known)
        assert plain.text_.ladder.best.name == "mean"
        assert better.text_.ladder.best.name == "views"
        gain = earned(better.predict(tested.rows), tested) - earned(
            plain.predict(tested.rows), tested
        )
        assert gain.mean() > 0.3

    def test_what_is_lost_without_each_is_told(self):
        useful = RowView("useful", lambda row: row.rewritten)
        blank = RowView("blank", lambda _row: "")
        fitted = predictor(views=(useful, blank)).fit(TRIPLES)
        rows = rows_of(TRIPLES.rows, None, fitted.wording_)
        targets = encoder().encode(TRIPLES.prompts)
        lost = views_left_out(rows, fitted.text_, targets, TRIPLES.near_groups(), fitted.space)
        assert [name for name, _ in lost] == ["useful", "blank"]
        assert dict(lost)["useful"] > 0.1
        assert dict(lost)["blank"] == pytest.approx(0, abs=1e-9)

    def test_doubled_names_are_refused(self):
        with pytest.raises(InputError, match="name of its own: 'subject' is there twice"):
            predictor(views=(*VIEWS, RowView("subject", str)))


class TestRefusals:
    def test_fewer_than_three_prompts(self):
        prompts = ("make it style1 style2 please", "Make it style1 style2 please!", "turn it")
        triples = Triples(Rows(("a", "b", "c"), ("x",) * 3, ("y",) * 3), prompts)
        with pytest.raises(InputError, match=r"at least 3 prompts .* found 2 in 3 rows; give more"):
            predictor().fit(triples)
        third = Triples(triples.rows, ("thing0", *prompts[1:]))
        assert len(predictor().fit(third).predict(third.rows)) == 3

    def test_a_deadline_that_has_passed(self, by_texts):
        with pytest.raises(OutOfTimeError):
            predictor().fit(TRIPLES, deadline=Deadline(0))
        rows = Rows(("new",), (f"{UNIVERSAL} never seen",), ("thing1 thing2 thing9",))
        with pytest.raises(OutOfTimeError):
            by_texts.forecast(rows, deadline=Deadline(0))
