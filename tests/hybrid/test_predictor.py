"""The blend: better than its parts where it can tell which is right, and by rules elsewhere."""

import numpy as np
import pytest

from mean_prompt.corpus.corpus import Corpus
from mean_prompt.corpus.triples import Rows, Triples, read_triples
from mean_prompt.encoder.space import EmbeddingSpace
from mean_prompt.hybrid import predictor as module
from mean_prompt.hybrid.options import BlendOptions
from mean_prompt.hybrid.predictor import HybridPredictor
from mean_prompt.hybrid.retrieval import EmbeddedRows
from mean_prompt.hybrid.settings import LLM_DEFAULTS, FitOutcome
from mean_prompt.hybrid.submission import is_null_to_pandas
from mean_prompt.hybrid.tuning import tune
from mean_prompt.system.data import shipped_folder
from mean_prompt.system.deadline import Deadline, OutOfTimeError
from mean_prompt.system.errors import InputError
from mean_prompt.training.vector import LEAST_PREDICTED, VectorPredictor
from mean_prompt.training.vector_folder import save_vector
from tests.hybrid.synthetic import UNIVERSAL, encoder, tongue

pytestmark = pytest.mark.usefixtures("one_thread")

WORLD = tongue()
KNOWN, HIDDEN = WORLD.halves()
TRIALS = 3


def predictor(universal=UNIVERSAL, **changes):
    given = {"model": encoder(), "max_tokens": 8, "trials": TRIALS}
    return HybridPredictor(universal, BlendOptions(**(given | changes)))


def known():
    return WORLD.triples.take(KNOWN), WORLD.said(KNOWN)


def only(said, count):
    """Return the first predictions alone."""
    return [*said[:count], *[()] * (len(said) - count)]


def some_rows(some, rows, said=None):
    """Return the first row as a predictor sees it."""
    return EmbeddedRows.embed(rows.take([0]), said and said[:1], some.vectors_)


def earned(texts, rows=HIDDEN):
    """Return the SCS of answers with the true prompts of rows."""
    encode = encoder().encode
    truth = encode([WORLD.triples.prompts[row] for row in rows])
    return np.einsum("nd,nd->n", encode(texts), truth) ** 3


@pytest.fixture(scope="module")
def fitted():
    return predictor().fit(*known())


@pytest.fixture(scope="module")
def few():
    """A predictor of which one prediction too few was known."""
    triples, said = known()
    return predictor().fit(triples, only(said, LEAST_PREDICTED - 1))


@pytest.fixture(scope="module")
def hidden():
    """The rows of prompts that were not known."""
    return WORLD.triples.take(HIDDEN).rows


class TestSense:
    def test_it_is_better_than_predictions_index_and_universal_string(self, fitted, hidden):
        said = WORLD.said(HIDDEN)
        hybrid = earned([one.text for one in fitted.predict(hidden, said)]).mean()
        llm = earned([texts[0] for texts in said]).mean()
        index = earned([one.text for one in fitted.predict(hidden)]).mean()
        nearest = earned(fitted.nearest(hidden)).mean()
        universal = earned([UNIVERSAL] * len(hidden)).mean()
        assert hybrid > 1.2 * llm
        assert hybrid > 1.1 * index
        assert index > nearest > 1.5 * universal

    def test_trust_tells_useful_predictions(self, fitted, hidden):
        answers = fitted.predict(hidden, WORLD.said(HIDDEN))
        right = WORLD.right[HIDDEN]
        trust = np.array([one.trust for one in answers])
        assert trust[right].mean() > 0.7
        assert trust[~right].mean() < 0.3
        taken = np.array([one.kind == "prediction" for one in answers])
        assert taken[right].mean() > 0.7
        assert taken[~right].mean() < 0.1

    def test_real_prompts_in_a_real_space(self, minilm):
        triples = read_triples(shipped_folder("corpora") / "triples.jsonl").triples
        triples = triples.take([n for n in range(len(triples))
                                if len(triples.rows.rewritten[n]) < 400][:60])  # fmt: skip
        groups = triples.groups()
        known, hidden = np.flatnonzero(groups % 3 > 0), np.flatnonzero(groups % 3 == 0)
        some = predictor("Rewrite this text in another style", model=minilm, max_tokens=64)
        some.fit(triples.take(known))
        answers = some.predict(triples.take(hidden).rows)
        truth = minilm.encode([triples.prompts[row] for row in hidden])
        scores = {
            name: float((np.einsum("nd,nd->n", minilm.encode(texts), truth) ** 3).mean())
            for name, texts in {
                "index": [one.text for one in answers],
                "universal": [some.universal] * len(hidden),
            }.items()
        }
        assert scores["index"] > scores["universal"]
        assert max(map(len, minilm.tokenize([one.text for one in answers]))) <= 64


class TestAnswers:
    def test_every_row_has_one_in_order_and_within_the_budget(self, hidden):
        some = predictor(max_tokens=5).fit(*known())
        for said in (None, WORLD.said(HIDDEN)):
            answers = some.predict(hidden, said)
            assert [one.id for one in answers] == list(hidden.ids)
            texts = [one.text for one in answers]
            assert max(map(len, encoder().tokenize(texts))) <= 5
            assert all(text.strip() and not is_null_to_pandas(text) for text in texts)

    def test_batches_do_not_matter(self, fitted, hidden):
        said = WORLD.said(HIDDEN)
        whole = fitted.predict(hidden, said)
        assert len(whole) < 64
        twice = Rows(tuple(f"{n}{name}" for n in range(2) for name in hidden.ids),
                     hidden.originals * 2, hidden.rewritten * 2)  # fmt: skip
        answers = fitted.predict(twice, [*said, *said])
        assert [one.text for one in answers] == [one.text for one in whole] * 2
        alone = [fitted.predict(hidden.take([row]), [said[row]])[0] for row in (0, 7)]
        assert [one.text for one in alone] == [whole[row].text for row in (0, 7)]

    def test_rules_come_before_the_blend(self, fitted):
        rows = Rows(tuple("abcde"), ("thing0", "thing1 ", "", "", "thing2"),
                    ("", "\n thing1", " ", "thing3 style4", "thing2 style1"))  # fmt: skip
        answers = fitted.predict(rows, [("make it style3",)] * 4 + [()])
        rules = ["blank", "unchanged", "blank", "blend", "blend"]
        assert [one.rule for one in answers] == rules
        for one in (answers[0], answers[1], answers[2]):
            assert (one.text, one.kind, one.expected, one.trust, one.candidates, one.with_llm) == (
                UNIVERSAL, "universal", None, None, 1, False
            )  # fmt: skip
        assert answers[3].with_llm
        assert not answers[4].with_llm

    def test_a_row_without_neighbours_has_the_universal_string(self, hidden):
        some = predictor().fit(*known())

        class Blind:
            def search(self, queries, k):
                return np.full((len(queries), k), -1, np.float32), np.full((len(queries), k), -1)

        some.text_.builder.retriever.index = Blind()
        said = [(), *WORLD.said(HIDDEN)[1:]]
        first, *others = some.predict(hidden, said)
        assert (first.text, first.rule, first.with_llm) == (UNIVERSAL, "no neighbours", False)
        # A prediction is something to go by.
        assert {one.rule for one in others} == {"blend"}
        assert some.nearest(hidden) == [UNIVERSAL] * len(hidden)

    def test_rows_without_a_prediction_are_answered_by_the_index(self, fitted, hidden):
        said = [texts if row % 2 else () for row, texts in enumerate(WORLD.said(HIDDEN))]
        mixed = fitted.predict(hidden, said)
        plain, full = fitted.predict(hidden), fitted.predict(hidden, WORLD.said(HIDDEN))
        for row, one in enumerate(mixed):
            assert one.text == (full if row % 2 else plain)[row].text
            assert one.with_llm == bool(row % 2)
            assert (one.trust is None) == (row % 2 == 0)

    def test_candidates_are_those_of_the_pool(self, fitted, hidden):
        said = [texts if row % 2 else () for row, texts in enumerate(WORLD.said(HIDDEN))]
        pools = fitted.pools(hidden, said)
        for one, pool, texts in zip(fitted.predict(hidden, said), pools, said, strict=True):
            assert one.text in pool
            assert one.candidates == len(pool) == len(set(pool))
            assert {UNIVERSAL, *texts} <= set(pool)

    def test_strings_can_be_searched_for_rows_whose_candidates_were_weighed(self, fitted, hidden):
        rows = Rows(("a", *hidden.ids), ("thing0", *hidden.originals), ("", *hidden.rewritten))
        said = [(), *(texts if row % 2 else () for row, texts in enumerate(WORLD.said(HIDDEN)))]
        (blank, nothing), *weighed = fitted.decide(rows, said)
        assert (blank.rule, nothing) == ("blank", None)
        for answer, target in weighed:
            assert answer.rule == "blend"
            assert (target.choice, target.expected) == (answer.text, answer.expected)
        assert [answer for answer, _ in weighed] == fitted.predict(hidden, said[1:])

    @pytest.mark.parametrize("count", [1, 200])
    def test_each_row_needs_its_predictions(self, fitted, hidden, count):
        with pytest.raises(ValueError, match=f"54 rows and {count} of predictions"):
            fitted.predict(hidden, [("make it",)] * count)


class TestFewPredictions:
    def test_the_first_prediction_is_the_answer(self, few, hidden):
        assert few.llm_ is None
        assert few.outcome_.llm is few.vectors_.llm_ is None
        answers = few.predict(hidden, WORLD.said(HIDDEN))
        assert [one.text for one in answers] == [texts[0] for texts in WORLD.said(HIDDEN)]
        assert {(one.kind, one.rule, one.expected, one.with_llm) for one in answers} == {
            ("prediction", "blend", None, True)
        }
        assert few.first_predictions(hidden, WORLD.said(HIDDEN)) == answers

    @pytest.mark.parametrize(
        ("texts", "answer"),
        [
            (("nan", "make it style1"), "make it style1"),
            (("make " * 9, "it"), "it"),
            ((" ", "it"), "it"),
            (("None", "make " * 9), UNIVERSAL),
        ],
    )
    def test_one_that_cannot_be_an_answer_is_passed_over(self, few, hidden, texts, answer):
        [one] = few.predict(hidden.take([0]), [texts])
        assert one.text == answer
        assert one.kind == ("universal" if answer == UNIVERSAL else "prediction")

    def test_predictions_are_weighed_by_the_rows_that_have_one(self):
        triples, said = known()
        some = predictor(trials=1).fit(triples, [(), *said[1:30], *[()] * (len(said) - 30)])
        assert some.text_.rows.tolist() == list(range(len(triples)))
        assert some.llm_.rows.tolist() == list(range(1, 30))
        assert len(some.text_.samples) == len(triples)
        for row, sample in zip(range(1, 30), some.llm_.samples.candidates, strict=True):
            assert said[row][0] in {one.text for one in sample.candidates}

    def test_predictions_of_one_prompt_cannot_be_weighed(self):
        triples = Triples(
            Rows(tuple(map(str, range(30))), ("thing0",) * 30, ("style0",) * 30),
            ("make it style0",) * 28 + ("make it style1", "turn it"),
        )
        said = [("make it style0",)] * 28 + [()] * 2
        assert predictor(trials=1).fit(triples, said).llm_ is None


class TestFit:
    def test_the_same_seed_fits_the_same(self, fitted, hidden):
        again = predictor().fit(*known())
        assert again.outcome_ == fitted.outcome_
        assert again.notes_ == fitted.notes_
        said = WORLD.said(HIDDEN)
        assert again.predict(hidden, said) == fitted.predict(hidden, said)

    def test_what_was_decided_need_not_be_decided_again(self, fitted, hidden):
        kept = FitOutcome.model_validate_json(fitted.outcome_.model_dump_json())
        again = predictor(trials=0).fit(*known(), outcome=kept)
        assert again.outcome_ == fitted.outcome_
        said = [texts if row % 2 else () for row, texts in enumerate(WORLD.said(HIDDEN))]
        assert again.predict(hidden, said) == fitted.predict(hidden, said)

    @pytest.mark.parametrize(
        ("prompts", "found"),
        [
            (("make it style0",), 1),
            (("make it style0", "Make it  style0", "MAKE it style0."), 1),
            (("make it style0", "turn style1 please", "Make it style0!"), 2),
        ],
    )
    def test_fewer_than_three_prompts_are_refused(self, prompts, found):
        count = len(prompts)
        rows = Rows(tuple(map(str, range(count))), ("thing0",) * count, ("style0",) * count)
        with pytest.raises(InputError, match=rf"at least 3 prompts.*found {found} in {count} rows"):
            predictor().fit(Triples(rows, prompts))

    def test_three_prompts_are_enough(self):
        triples = WORLD.triples.take([0, 3, 6])
        assert len(set(triples.prompts)) == 3
        [answer] = predictor(trials=1).fit(triples).predict(triples.rows.take([0]))
        assert answer.rule == "blend"

    @pytest.mark.parametrize("universal", ["", "  \n", "None", "nan", "<NA>"])
    def test_a_universal_string_that_is_none_is_refused(self, universal):
        with pytest.raises(InputError, match="--prompt must be"):
            predictor(universal)

    def test_a_universal_string_over_the_budget_is_refused(self):
        with pytest.raises(InputError, match="at most --max-tokens 8: found 9 tokens"):
            predictor("make it " * 4 + "please")
        predictor("make it " * 4)

    def test_no_time_is_an_error_while_there_is_nothing_to_predict_with(
        self, monkeypatch, tmp_path
    ):
        monkeypatch.setenv("MEAN_PROMPT_CACHE", str(tmp_path))
        some = predictor()
        with pytest.raises(OutOfTimeError):
            some.fit(*known(), deadline=Deadline(0))
        assert some.space.encoder.encoded == 0
        affixed = LLM_DEFAULTS.model_copy(update={"affixed": True})
        outcome = some.fit(*known()).outcome_.model_copy(update={"llm": affixed})
        some.fit(*known(), outcome=outcome)
        new, said = Rows(("new",), ("thing9 thing9",), ("thing9 style3",)), ["thing9 thing8"]
        with pytest.raises(OutOfTimeError):
            some.predict(new, [said], deadline=Deadline(0))
        some.space.exact([*new.originals, *new.rewritten, *said])
        with pytest.raises(OutOfTimeError):  # for its candidates
            some.predict(new, [said], deadline=Deadline(0))
        answers = some.predict(new, [said])
        assert some.predict(new, [said], deadline=Deadline(0)) == answers

    def test_it_is_tuned_on_rows_whose_prompts_are_not_known(self, monkeypatch):
        seen = []

        def kept(samples, **options):
            seen.append(samples)
            return tune(samples, **options)

        monkeypatch.setattr(module, "tune", kept)
        triples, _ = known()
        # The predictions tell nothing: only rows of the same prompt could.
        predictor(trials=1).fit(triples, [("please turn",)] * len(triples))
        assert len(seen) == 2
        for samples in seen:
            assert len(samples) == len(triples)
            assert max(row.max() for row in samples.earned) < 0.999
            assert sorted(np.bincount(samples.folds)) == [9, 9, 12, 12, 12]

    def test_notes_tell_what_a_user_should_know(self, fitted):
        rows, text, llm = fitted.notes_
        assert rows == "54 known rows of 18 prompts"
        score = f"cross-validated SCS {fitted.text_.blend.score:.4f}"
        assert text == f"without a prediction: {score}"
        assert fitted.text_.left_out().mean() == pytest.approx(fitted.text_.blend.score)
        score = f"cross-validated SCS {fitted.llm_.blend.score:.4f}"
        assert llm == f"with a prediction (54 known rows have one): {score}"
        short = predictor(model=encoder(max_tokens=5), trials=1).fit(known()[0])
        assert short.notes_[1] == "54 of 108 texts are longer than the model reads: cut"

    def test_a_trained_vector_predictor_is_taken_as_it_is(self, hidden, tmp_path):
        triples, said = known()
        trained = VectorPredictor(space=EmbeddingSpace(encoder())).fit(triples, said)
        save_vector(trained, tmp_path / "vector")
        some = predictor(vector=tmp_path / "vector", trials=1).fit(triples.take(range(12)))
        expected = trained.predict(hidden)
        np.testing.assert_allclose(some.vectors_.predict(hidden), expected, atol=1e-4)
        [found] = some.text_.builder.build(some_rows(some, hidden))
        np.testing.assert_allclose(found.by_text.middle, expected[0], atol=1e-4)
        assert some.llm_ is None
        assert "trained with predictions, and fewer than 24 known rows have one" in some.notes_[-1]

    def test_a_corpus_is_a_part_of_the_posterior(self, hidden):
        prompts = ("turn it please", "please turn it", "turn turn")
        corpus = Corpus(prompts, np.array([0.5, 0.3, 0.2]))
        some = predictor(corpus=corpus, trials=1).fit(known()[0])
        [with_corpus] = some.text_.builder.build(some_rows(some, hidden))
        assert with_corpus.known.shape[1] == 2
        vectors = encoder().encode(prompts)
        expected = (with_corpus.vectors @ vectors.T) ** 3 @ corpus.weights
        np.testing.assert_allclose(with_corpus.known[:, 1], expected, atol=1e-5)

    def test_affixes_are_tried(self, hidden):
        some = predictor(prefix="please", suffix="turn it", trials=1).fit(*known())
        [found] = some.llm_.builder.build(some_rows(some, hidden, WORLD.said(HIDDEN)))
        texts = [one.text for one in found.candidates]
        [said] = WORLD.said(HIDDEN)[0]
        assert {f"please {said}", f"{said} turn it"} <= set(texts)
