"""Strings searched for rows: towards where prompts are expected, and used only if they gain."""

from dataclasses import replace

import numpy as np
import pytest

from mean_prompt.hybrid import row_search as module
from mean_prompt.hybrid.answer import Answer
from mean_prompt.hybrid.candidates import AnswerCandidate
from mean_prompt.hybrid.posterior import Near, RowCandidates
from mean_prompt.hybrid.row_search import RowSearch, RowTarget, SearchGain, searched
from mean_prompt.hybrid.samples import Samples
from mean_prompt.hybrid.tuning import Chosen
from mean_prompt.objective.scs import sharpened_cosines
from mean_prompt.optimize.evaluator import Candidate
from mean_prompt.runs.climbers import team_of
from mean_prompt.system.deadline import Deadline, OutOfTimeError
from mean_prompt.system.progress import ProgressEvent
from tests.fakes import WORDS, FakeEncoder

TEXTS = ("poem", "formal tone", "make the email")
PROMPTS = ("rewrite the text", "make the poem formal", "story tone email")
GAIN = SearchGain(rows=8, mean=0.02, error=0.01, rho=0.8, share=0.5)
ANSWER = Answer("a", "poem", "retrieved", 0.6, None, "blend", 3, with_llm=False)


def near(middle):
    none = np.empty(0)
    return Near(middle, none, np.empty((3, 0)), none, np.empty(0, np.int64))


def candidates(vectors, middle, middle_by_all=None, texts=TEXTS):
    """Return the candidates of a row whose prompt is expected at ``middle``."""
    return RowCandidates(
        [AnswerCandidate(text, "retrieved") for text in texts],
        vectors,
        near(middle),
        None if middle_by_all is None else near(middle_by_all),
        None,
        np.empty((3, 0)),
        None,
    )


def chosen(number, worths=(0.2, 0.5, 0.1), allowed=(0, 1, 2)):
    return Chosen(number, max(worths), None, None, np.array(allowed), np.array(worths))


def target(fit=0.5, expected=0.6):
    return RowTarget(np.eye(3, dtype=np.float32)[0], "poem", "story", fit, expected)


def string(text="formal", score=0.9):
    return Candidate(text, (5,), (5,), np.eye(3, dtype=np.float32)[0], score)


class TestTarget:
    AXES = np.eye(5, dtype=np.float32)

    def test_it_is_the_middle_and_a_share_of_the_candidates_mean(self):
        found = RowTarget.of(candidates(self.AXES[:3], self.AXES[3]), chosen(1))
        # Worths that differ by ten temperatures leave the best candidate nearly all the weight.
        expected = self.AXES[3] + 0.6 * self.AXES[1]
        np.testing.assert_allclose(found.vector, expected / np.linalg.norm(expected), atol=1e-3)
        assert np.linalg.norm(found.vector) == pytest.approx(1)
        assert (found.choice, found.expected) == ("formal tone", 0.5)
        assert found.fit == pytest.approx((0.6 / np.sqrt(1.36)) ** 3, abs=1e-3)

    def test_candidates_of_equal_worth_count_alike(self):
        found = RowTarget.of(
            candidates(self.AXES[:3], self.AXES[3]), chosen(0, worths=(0.3, 0.3, 0.3))
        )
        np.testing.assert_allclose(found.vector[:3], found.vector[0], atol=1e-6)
        assert found.vector[3] == pytest.approx(5 * found.vector[0], abs=1e-5)

    def test_predictions_lead_to_another_middle(self):
        row = candidates(self.AXES[:3], self.AXES[3], self.AXES[4])
        found = RowTarget.of(row, chosen(1))
        assert found.vector[4] > 0.8
        assert found.vector[3] == 0

    def test_the_start_is_the_allowed_candidate_nearest_to_it(self):
        # The third is the nearest, and the first comes before the second, which is chosen.
        row = candidates(self.AXES[:3], np.array([0.7, 0.0, 0.71, 0, 0], np.float32))
        assert RowTarget.of(row, chosen(1)).start == "make the email"
        found = RowTarget.of(row, chosen(1, worths=(0.2, 0.5), allowed=(0, 1)))
        assert (found.start, found.choice) == ("poem", "formal tone")

    def test_what_is_not_allowed_has_no_share_in_it(self):
        row = candidates(self.AXES[:3], self.AXES[3])
        assert RowTarget.of(row, chosen(1, worths=(0.3, 0.3), allowed=(0, 1))).vector[2] == 0


class TestGain:
    def test_it_is_a_share_of_what_the_better_fit_would_be_worth(self):
        assert GAIN.of(target(fit=0.5), string(score=0.9)) == pytest.approx(0.5 * 0.8 * 0.4)
        assert GAIN.of(target(fit=0.95), string(score=0.9)) < 0

    def test_it_reports_whether_strings_are_searched_for(self):
        assert str(GAIN) == (
            "on 8 known rows searched strings gained +0.0200 SCS over the choice (standard error "
            "0.0100): strings are searched for"
        )
        assert str(replace(GAIN, share=0.0)).endswith(": no string is searched for")


class TestAnswer:
    def test_a_string_that_gains_is_the_answer(self):
        found = searched(ANSWER, target(), string(), GAIN)
        assert (found.text, found.kind) == ("formal", "searched")
        assert found.expected == pytest.approx(0.6 + 0.16)
        assert (found.choice, found.choice_expected, found.searched) == ("poem", 0.6, "formal")

    @pytest.mark.parametrize(
        ("found", "gain"),
        [
            (string(score=0.4), GAIN),
            (string(score=0.5), GAIN),
            (string(), replace(GAIN, share=0.0)),
            (string("None"), GAIN),
            (string("n/a"), GAIN),
        ],
        ids=["worse fit", "equal fit", "no gain", "null", "null too"],
    )
    def test_another_is_only_remembered(self, found, gain):
        kept = searched(ANSWER, target(), found, gain)
        assert kept == replace(ANSWER, choice="poem", choice_expected=0.6, searched=found.text)


class Best:
    """A blend that chooses the candidate worth most by what it was given."""

    def __init__(self, worths):
        self._worths = iter(worths)

    def choose(self, _row):
        worths = next(self._worths)
        return chosen(int(np.argmax(worths)), tuple(worths))


@pytest.fixture(scope="module")
def team():
    with team_of(FakeEncoder(), 1) as team:
        yield team


@pytest.fixture
def search(team):
    made = RowSearch(FakeEncoder(), PROMPTS, team, max_tokens=3)
    made.set_evaluations(40)
    return made


def known(count, *, right):
    """Return rows whose prompts are expected at their place if ``right``, and a blend for them."""
    encoder, rng = FakeEncoder(), np.random.default_rng(0)
    prompts = [" ".join(rng.choice(WORDS, 3, replace=False)) for _ in range(count)]
    targets = encoder.encode(prompts)
    middles = targets if right else -targets
    vectors = encoder.encode(TEXTS)
    earned = [sharpened_cosines(vectors, np.tile(one, (3, 1))).astype(float) for one in targets]
    rows = [candidates(vectors, middle) for middle in middles]
    samples = Samples(rows, np.arange(count), targets, earned, np.arange(count) % 5, None)
    return samples, Best(earned)


def targets_of(samples, blend):
    return [RowTarget.of(row, blend.choose(row)) for row in samples.candidates]


class TestSearch:
    def test_strings_fit_their_targets_better_than_the_choice(self, search):
        targets = targets_of(*known(8, right=True))
        found = [one for _, part in search.strings(targets) for one in part]
        assert len(found) == 8
        scores = np.array([one.score for one in found])
        fits = np.array([one.fit for one in targets])
        assert (scores >= fits - 1e-6).all()
        assert scores.mean() > fits.mean() + 0.1
        vectors = FakeEncoder().encode([one.text for one in found])
        np.testing.assert_allclose(
            scores, sharpened_cosines(vectors, np.stack([one.vector for one in targets])), atol=1e-5
        )
        assert search.seconds_each > 0

    def test_an_answer_has_no_more_tokens_than_allowed(self, search):
        found = [
            one for _, part in search.strings(targets_of(*known(8, right=True))) for one in part
        ]
        assert max(len(one.ids) for one in found) == 3

    def test_strings_come_in_the_targets_order_with_the_first_number(self, search, monkeypatch):
        targets = targets_of(*known(5, right=True))
        [[_, together]] = search.strings(targets)

        def turned(_team, asked, _deadline):
            assert len(asked) == 5
            yield from ((3, together[3:]), (2, together[2:3]), (0, together[:2]))

        monkeypatch.setattr(module, "inverted", turned)
        parts = list(search.strings(targets))
        assert [first for first, _ in parts] == [0, 2, 3]
        assert [one.text for _, part in parts for one in part] == [one.text for one in together]

    def test_a_row_has_the_same_string_in_any_company(self, search):
        targets = targets_of(*known(5, right=True))
        [[_, together]] = search.strings(targets)
        [[_, alone]] = search.strings(targets[4:])
        assert alone[0].text == together[4].text

    def test_strings_are_worth_something_if_prompts_are_where_expected(self, search, monkeypatch):
        monkeypatch.setattr(module, "_TRIED", 10)
        gain = search.learn(*known(14, right=True))
        assert gain.rows == 10
        assert gain.mean > 2 * gain.error > 0
        assert 0 < gain.share <= 1
        assert gain.rho > 0

    def test_strings_are_worth_nothing_if_they_are_not(self, search):
        gain = search.learn(*known(8, right=False))
        assert gain.rows == 8
        assert gain.mean < 0
        assert gain.share == 0

    def test_a_gain_where_most_is_promised_does_not_make_up_for_a_loss(self, search, monkeypatch):
        samples, blend = known(2, right=True)
        vectors = samples.targets * [[1], [-1]]
        found = [
            replace(string(), vector=vector, score=RowTarget.of(row, blend.choose(row)).fit + more)
            for row, vector, more in zip(samples.candidates, vectors, (0.5, 0.01), strict=True)
        ]
        monkeypatch.setattr(search, "strings", lambda *_: [(0, found)])
        earned = [worth.max() for worth in samples.earned]
        gain = search.learn(samples, Best(samples.earned))
        assert gain.mean == pytest.approx(-np.mean(earned), abs=1e-6)
        assert gain.share == 0

    def test_it_learns_the_same_again(self, search):
        assert search.learn(*known(4, right=True)) == search.learn(*known(4, right=True))

    def test_more_evaluations_fit_better(self, search):
        targets = targets_of(*known(6, right=True))

        def mean(evaluations):
            search.set_evaluations(evaluations)
            return np.mean([one.score for _, part in search.strings(targets) for one in part])

        assert mean(1) < mean(40)

    def test_the_deadline_is_kept(self, search):
        with pytest.raises(OutOfTimeError):
            list(search.strings([target()], deadline=Deadline(0)))

    def test_progress_is_told_in_rows(self, team):
        events = []
        search = RowSearch(FakeEncoder(), PROMPTS, team, max_tokens=3, listener=events.append)
        search.set_evaluations(10)
        list(search.strings(targets_of(*known(3, right=True)), "trying"))
        assert events[-1] == ProgressEvent("trying", 3, 3, "rows")
