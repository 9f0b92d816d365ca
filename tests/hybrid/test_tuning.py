"""Settings of a blend: never worse than the defaults, the same again, and blind to a row's own."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from mean_prompt.hybrid import tuning
from mean_prompt.hybrid.candidates import AnswerCandidate, allowed_numbers
from mean_prompt.hybrid.mixture import PreparedSamples
from mean_prompt.hybrid.posterior import Near, RowCandidates, expected_known, scs_between
from mean_prompt.hybrid.retrieval import Bank, Neighbourhood
from mean_prompt.hybrid.samples import Samples
from mean_prompt.hybrid.settings import LLM_DEFAULTS, TEXT_DEFAULTS, BlendSettings
from mean_prompt.hybrid.tuning import fit_blend, tune
from mean_prompt.objective.scs import ExpectedSCS, normalized
from mean_prompt.system.deadline import Deadline

pytestmark = pytest.mark.usefixtures("one_thread")

WIDTH = 6
KINDS = ("universal", "prediction", "shortened", "template", "line", "joined", "affixed")
CANDIDATES = [
    AnswerCandidate(
        f"{kind} {'word ' * n}", kind, separator=" " if kind in {"joined", "affixed"} else ""
    )
    for n, kind in enumerate(KINDS)
]


def made_up(count=60, *, with_llm=True, noise=0.5, seed=0):
    """Return rows whose neighbours are near the truth, and whose predictions half are.

    Candidates are random, but for one near what the texts say and one near the prediction.
    """
    rng = np.random.default_rng(seed)

    def unit(rows):
        return normalized(rng.standard_normal((rows, WIDTH)))

    targets, bank = unit(count), Bank(tuple("abcdefgh"), unit(8), np.arange(8))
    objectives = [ExpectedSCS(bank.vectors)]
    right = rng.random(count) < 0.5
    rows, earned, useful = [], [], []
    for row in range(count):
        target = targets[row]
        middle = normalized(target[None] + noise * unit(1))
        said = normalized((target[None] if right[row] else unit(1)) + 0.1 * unit(1))
        vectors = np.concatenate([unit(1), said, unit(2), middle, unit(2)])
        cosines, numbers = (
            np.sort(middle @ bank.vectors.T)[:, ::-1],
            np.argsort(-(middle @ bank.vectors.T)),
        )
        near = Near.of(vectors, Neighbourhood(middle, numbers, cosines), 0, bank)
        rows.append(
            RowCandidates(
                candidates=CANDIDATES,
                vectors=vectors,
                by_text=near,
                by_all=near if with_llm else None,
                llm=scs_between(vectors, said).mean(axis=1) if with_llm else None,
                known=expected_known(vectors, objectives),
                signs=np.array([(said @ middle.T).item(), rng.random()]) if with_llm else None,
            )
        )
        earned.append(scs_between(vectors, target[None])[:, 0])
        useful.append(earned[-1][1] > scs_between(middle, target[None]).item())
    folds = np.arange(count) % 5
    useful = np.array(useful) if with_llm else None
    return Samples(rows, np.arange(count), targets, earned, folds, useful)


SAMPLES = made_up()
TEXT_SAMPLES = made_up(with_llm=False)
FRESH = made_up(100, seed=50)
OPEN = BlendSettings()
#: Rows of which a joined string is always right, and the defaults beside predictions join none.
JOINED_SAMPLES = replace(
    SAMPLES, earned=[np.where(np.arange(7) == 5, 1.0, row) for row in SAMPLES.earned]
)


def cross_fitted(samples, settings):
    """Return what each row's answer earns when a blend fitted on the other folds chooses it."""
    return PreparedSamples(samples, settings).cross_fit()[0]


class TestSettings:
    @pytest.mark.parametrize(
        ("field", "value"),
        [("temperature", 0), ("neighbours", 0), ("neighbours", 65), ("strength", 0.0),
         ("heads", -1), ("joined", ", "), ("unknown", 1)],
    )  # fmt: skip
    def test_senseless_ones_are_refused(self, field, value):
        with pytest.raises(ValidationError, match=field):
            BlendSettings.model_validate({field: value})

    def test_they_say_which_candidates_are_allowed(self):
        settings = BlendSettings(heads=0, shortened=False, joined=None)
        kinds = [
            KINDS[number] for number in allowed_numbers(SAMPLES.candidates[0].candidates, settings)
        ]
        assert kinds == ["universal", "prediction", "line", "affixed"]
        assert len(allowed_numbers(SAMPLES.candidates[0].candidates, OPEN)) == len(KINDS)

    def test_of_equal_strings_the_first_that_is_allowed_counts(self):
        twice = [AnswerCandidate("same", "shortened"), AnswerCandidate("same", "retrieved"),
                 AnswerCandidate("other", "retrieved")]  # fmt: skip
        row = replace(SAMPLES.candidates[0], candidates=twice)
        assert allowed_numbers(row.candidates, BlendSettings()) == [0, 2]
        assert allowed_numbers(row.candidates, BlendSettings(shortened=False)) == [1, 2]


class TestChoosing:
    def test_the_best_allowed_candidate_is_chosen(self):
        blend = fit_blend(SAMPLES, BlendSettings(shortened=False, joined=None))
        for row in SAMPLES.candidates:
            allowed = allowed_numbers(row.candidates, blend.settings)
            choice = blend.choose(row)
            worth = blend.mixture.expected(row.features(blend.settings)[allowed], choice.trust)
            assert choice.number == allowed[worth.argmax()]
            assert choice.expected == blend.calibration * worth.max()
            assert choice.allowed.tolist() == allowed
            np.testing.assert_array_equal(choice.worths, blend.calibration * worth)
            assert 0 < choice.trust < 1
            assert KINDS[choice.number] not in {"shortened", "joined"}

    def test_the_universal_string_is_judged_as_the_choice_is(self):
        blend = fit_blend(SAMPLES, OPEN)
        for row in SAMPLES.candidates:
            choice = blend.choose(row)
            features = row.features(blend.settings)
            worth = blend.mixture.expected(features, choice.trust)
            assert KINDS[0] == "universal"
            assert choice.universal == pytest.approx(blend.calibration * worth[0])
            assert choice.universal <= choice.expected

    def test_candidates_without_a_universal_string_have_nothing_to_judge(self):
        row = replace(SAMPLES.candidates[0], candidates=[*CANDIDATES[1:2], *CANDIDATES[1:]])
        assert fit_blend(SAMPLES, OPEN).choose(row).universal is None

    def test_chosen_candidates_earn_what_is_expected_of_them(self):
        expected, earned = [], []
        for seed in range(4):
            blend, fresh = fit_blend(made_up(seed=seed), OPEN), made_up(100, seed=seed + 50)
            choices = [blend.choose(row) for row in fresh.candidates]
            expected += [choice.expected for choice in choices]
            earned += [row[one[0]] for row, one in zip(fresh.earned, choices, strict=True)]
        assert np.mean(expected) == pytest.approx(np.mean(earned), abs=0.03)

    def test_what_chance_promises_is_not_expected(self):
        # All candidates earn 0.3 and a throw of the dice, and still one of them looks best.
        rng, expected, raw = np.random.default_rng(0), [], []
        for _ in range(10):
            thrown = [0.3 + 0.3 * rng.standard_normal(7) for _ in range(60)]
            blend = fit_blend(replace(SAMPLES, earned=thrown), BlendSettings(strength=0.3))
            expected += [blend.choose(row)[1] for row in FRESH.candidates]
            raw += [blend.choose(row)[1] / blend.calibration for row in FRESH.candidates]
        assert np.mean(raw) > 0.36
        assert np.mean(expected) == pytest.approx(0.3, abs=0.6 * (np.mean(raw) - 0.3))


class TestCrossFitting:
    def test_what_a_row_earns_does_not_influence_its_choice(self):
        # Each candidate of a fold's rows earns its number more than it did: whatever is chosen
        # can be read off what it earns, and must be what was chosen before.
        before = cross_fitted(SAMPLES, OPEN)
        chosen = [int(np.flatnonzero(one == got)[0])
                  for one, got in zip(SAMPLES.earned, before, strict=True)]  # fmt: skip
        for fold in range(5):
            tested = np.flatnonzero(SAMPLES.folds == fold)
            earned, useful = list(SAMPLES.earned), SAMPLES.useful.copy()
            for row in tested:
                earned[row] = np.arange(7.0)[::-1] * 100
                useful[row] = not useful[row]
            after = cross_fitted(replace(SAMPLES, earned=earned, useful=useful), OPEN)
            assert (600 - after[tested]).tolist() == [100 * chosen[row] for row in tested]
            # It does influence that of the others, or this test could not fail.
            others = np.setdiff1d(np.arange(60), tested)
            assert (after[others] != before[others]).any()


class TestTuning:
    @pytest.mark.parametrize(
        ("samples", "defaults"),
        [(SAMPLES, LLM_DEFAULTS), (TEXT_SAMPLES, TEXT_DEFAULTS)],
        ids=["llm", "text"],
    )
    def test_it_is_never_worse_than_the_defaults(self, samples, defaults):
        least = cross_fitted(samples, defaults).mean()
        assert tune(samples, trials=1, seed=0).settings == defaults
        for seed in range(3):
            blend = tune(samples, trials=5, seed=seed)
            assert blend.score >= least
            assert blend.score == pytest.approx(cross_fitted(samples, blend.settings).mean())

    def test_it_finds_what_is_much_better(self):
        blend = tune(JOINED_SAMPLES, trials=10, seed=0)
        assert blend.settings.joined == " "
        assert blend.score > cross_fitted(JOINED_SAMPLES, LLM_DEFAULTS).mean() + 0.1

    def test_the_defaults_stay_where_a_gain_may_be_chance(self):
        noise = np.random.default_rng(0).standard_normal(100)
        noise -= noise.mean()
        defaults, other = BlendSettings(), BlendSettings(heads=1)
        for gain, best in ((0.15, other), (0.05, defaults), (-0.1, defaults)):
            tried = [(defaults, np.zeros(100)), (other, gain + noise / noise.std())]
            assert tuning._best(tried) == best

    @pytest.mark.parametrize("trials", [0, 9])
    def test_no_time_or_trial_leaves_the_start(self, trials):
        start = BlendSettings(heads=3)
        blend = tune(SAMPLES, trials=trials, seed=0, start=start, deadline=Deadline(0))
        assert blend.settings == start
        assert blend.score == pytest.approx(cross_fitted(SAMPLES, start).mean())
        assert tune(SAMPLES, trials=0, seed=0).settings == LLM_DEFAULTS

    def test_a_deadline_keeps_the_best_so_far(self):
        deadline = Deadline(1.0, clock=iter([0, 0.1, 0.2, 2.0]).__next__)
        blend = tune(SAMPLES, trials=50, seed=0, deadline=deadline)
        assert blend.score >= cross_fitted(SAMPLES, LLM_DEFAULTS).mean()

    def test_without_predictions_nothing_is_tried_with_them(self):
        for seed in range(4):
            settings = tune(TEXT_SAMPLES, trials=3, seed=seed).settings
            assert settings.heads == 0
            assert not settings.shortened
