"""Settings of a blend: never worse than the defaults, the same again, and blind to a row's own."""

import time
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from mean_prompt.hybrid import tuning
from mean_prompt.hybrid.candidates import Candidate
from mean_prompt.hybrid.keys import normalized
from mean_prompt.hybrid.posterior import Near, RowCandidates, expected_known, mean_scs, scs_between
from mean_prompt.hybrid.retrieval import Bank, Neighbourhood
from mean_prompt.hybrid.tuning import (
    LLM_DEFAULTS,
    TEXT_DEFAULTS,
    BlendSettings,
    Samples,
    allowed_rows,
    cross_fitted,
    fit_blend,
    tune,
)
from mean_prompt.objective.scs import ExpectedSCS
from mean_prompt.system.deadline import Clock

pytestmark = pytest.mark.usefixtures("one_thread")

WIDTH = 6
KINDS = ("universal", "prediction", "shortened", "template", "retrieved", "joined", "affixed")
CANDIDATES = [
    Candidate(f"{kind} {'word ' * n}", kind, separator=" " if kind in {"joined", "affixed"} else "")
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
    scenes, earned, served = [], [], []
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
        scenes.append(
            RowCandidates(
                candidates=CANDIDATES,
                vectors=vectors,
                by_text=near,
                by_all=near if with_llm else None,
                llm=mean_scs(vectors, said) if with_llm else None,
                known=expected_known(vectors, objectives),
                signs=np.array([(said @ middle.T).item(), rng.random()]) if with_llm else None,
            )
        )
        earned.append(scs_between(vectors, target[None])[:, 0])
        served.append(earned[-1][1] > scs_between(middle, target[None]).item())
    return Samples(scenes, earned, np.arange(count) % 5, np.array(served) if with_llm else None)


SAMPLES = made_up()
TEXT_SAMPLES = made_up(with_llm=False)
FRESH = made_up(100, seed=50)
OPEN = BlendSettings()
#: Rows of which a joined string is always right, and the defaults beside predictions join none.
JOINED_SAMPLES = replace(
    SAMPLES, earned=[np.where(np.arange(7) == 5, 1.0, row) for row in SAMPLES.earned]
)


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
        kinds = [KINDS[number] for number in allowed_rows(SAMPLES.scenes[0], settings)]
        assert kinds == ["universal", "prediction", "retrieved", "affixed"]
        assert len(allowed_rows(SAMPLES.scenes[0], OPEN)) == len(KINDS)

    def test_of_equal_strings_the_first_that_is_allowed_counts(self):
        twice = [Candidate("same", "shortened"), Candidate("same", "retrieved"),
                 Candidate("other", "retrieved")]  # fmt: skip
        scene = replace(SAMPLES.scenes[0], candidates=twice)
        assert allowed_rows(scene, BlendSettings()).tolist() == [0, 2]
        assert allowed_rows(scene, BlendSettings(shortened=False)).tolist() == [1, 2]


class TestChoosing:
    def test_the_best_allowed_candidate_is_chosen(self):
        blend = fit_blend(SAMPLES, BlendSettings(shortened=False, joined=None))
        for scene in SAMPLES.scenes:
            allowed = allowed_rows(scene, blend.settings)
            number, expected, trust, _ = blend.choose(scene)
            worth = blend.mixture.expected(scene.features(blend.settings.posterior)[allowed], trust)
            assert number == allowed[worth.argmax()]
            assert expected == blend.candour * worth.max()
            assert 0 < trust < 1
            assert KINDS[number] not in {"shortened", "joined"}

    def test_the_universal_string_is_judged_as_the_choice_is(self):
        blend = fit_blend(SAMPLES, OPEN)
        for scene in SAMPLES.scenes:
            choice = blend.choose(scene)
            features = scene.features(blend.settings.posterior)
            worth = blend.mixture.expected(features, choice.trust)
            assert KINDS[0] == "universal"
            assert choice.universal == pytest.approx(blend.candour * worth[0])
            assert choice.universal <= choice.expected

    def test_candidates_without_a_universal_string_have_nothing_to_judge(self):
        scene = replace(SAMPLES.scenes[0], candidates=[*CANDIDATES[1:2], *CANDIDATES[1:]])
        assert fit_blend(SAMPLES, OPEN).choose(scene).universal is None

    def test_what_is_expected_of_choices_is_what_choices_earn(self):
        blend = fit_blend(SAMPLES, OPEN)
        expected = np.mean([blend.choose(scene)[1] for scene in SAMPLES.scenes])
        assert abs(blend.candour - 1) > 0.01  # it is needed here
        assert abs(expected - blend.score) < abs(expected / blend.candour - blend.score)

    def test_chosen_candidates_earn_what_is_expected_of_them(self):
        expected, earned = [], []
        for seed in range(4):
            blend, fresh = fit_blend(made_up(seed=seed), OPEN), made_up(100, seed=seed + 50)
            choices = [blend.choose(scene) for scene in fresh.scenes]
            expected += [choice.expected for choice in choices]
            earned += [row[one[0]] for row, one in zip(fresh.earned, choices, strict=True)]
        assert np.mean(expected) == pytest.approx(np.mean(earned), abs=0.03)

    def test_what_chance_promises_is_not_expected(self):
        # All candidates earn 0.3 and a throw of the dice, and still one of them looks best.
        rng, expected, raw = np.random.default_rng(0), [], []
        for _ in range(10):
            thrown = [0.3 + 0.3 * rng.standard_normal(7) for _ in range(60)]
            blend = fit_blend(replace(SAMPLES, earned=thrown), BlendSettings(strength=0.3))
            expected += [blend.choose(scene)[1] for scene in FRESH.scenes]
            raw += [blend.choose(scene)[1] / blend.candour for scene in FRESH.scenes]
        assert np.mean(raw) > 0.36
        assert np.mean(expected) == pytest.approx(0.3, abs=0.6 * (np.mean(raw) - 0.3))

    def test_trust_goes_by_the_signs(self):
        blend = fit_blend(SAMPLES, OPEN)
        trusted = [blend.choose(scene)[2] for scene in SAMPLES.scenes]
        assert np.mean(np.array(trusted)[SAMPLES.served]) > 0.5
        assert np.mean(np.array(trusted)[~SAMPLES.served]) < 0.5

    def test_without_predictions_there_is_nothing_to_trust(self):
        blend = fit_blend(TEXT_SAMPLES, OPEN)
        assert blend.trust is None
        assert blend.choose(TEXT_SAMPLES.scenes[0])[2] is None


class TestCrossFitting:
    @pytest.mark.parametrize("samples", [SAMPLES, TEXT_SAMPLES], ids=["llm", "text"])
    def test_rows_are_answered_by_a_blend_of_the_other_folds(self, samples):
        earned = cross_fitted(samples, OPEN)
        for fold in range(5):
            others = np.flatnonzero(samples.folds != fold)
            blend = fit_blend(
                Samples(
                    [samples.scenes[row] for row in others],
                    [samples.earned[row] for row in others],
                    samples.folds[others],
                    None if samples.served is None else samples.served[others],
                ),
                OPEN,
            )
            for row in np.flatnonzero(samples.folds == fold):
                number = blend.choose(samples.scenes[row])[0]
                assert earned[row] == samples.earned[row][number]

    def test_choosing_is_better_than_chance_and_than_the_prediction(self):
        earned = cross_fitted(SAMPLES, OPEN).mean()
        assert earned > np.mean([row[1] for row in SAMPLES.earned]) + 0.1
        assert earned > np.mean([row[4] for row in SAMPLES.earned])

    def test_what_a_row_earns_does_not_influence_its_choice(self):
        # Each candidate of a fold's rows earns its number more than it did: whatever is chosen
        # can be read off what it earns, and must be what was chosen before.
        before = cross_fitted(SAMPLES, OPEN)
        chosen = [int(np.flatnonzero(one == got)[0])
                  for one, got in zip(SAMPLES.earned, before, strict=True)]  # fmt: skip
        for fold in range(5):
            tested = np.flatnonzero(SAMPLES.folds == fold)
            earned, served = list(SAMPLES.earned), SAMPLES.served.copy()
            for row in tested:
                earned[row] = np.arange(7.0)[::-1] * 100
                served[row] = not served[row]
            after = cross_fitted(replace(SAMPLES, earned=earned, served=served), OPEN)
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

    def test_the_seed_repeats_it(self):
        first, again, other = (tune(JOINED_SAMPLES, trials=6, seed=seed) for seed in (3, 3, 4))
        assert first.settings == again.settings != other.settings
        assert first.score == again.score
        np.testing.assert_array_equal(first.mixture.within, again.mixture.within)

    @pytest.mark.parametrize("trials", [0, 9])
    def test_no_time_or_trial_leaves_the_defaults(self, trials):
        over = Clock(time.monotonic() - 1)
        blend = tune(SAMPLES, trials=trials, seed=0, clock=over if trials else None)
        assert blend.settings == LLM_DEFAULTS
        assert blend.score == pytest.approx(cross_fitted(SAMPLES, LLM_DEFAULTS).mean())
        np.testing.assert_array_equal(
            blend.mixture.within, fit_blend(SAMPLES, LLM_DEFAULTS).mixture.within
        )

    def test_an_ended_clock_keeps_the_best_so_far(self):
        looks = iter([False, False, True])

        class Three(Clock):
            def expired(self):
                return next(looks)

        blend = tune(SAMPLES, trials=50, seed=0, clock=Three())
        assert blend.score >= cross_fitted(SAMPLES, LLM_DEFAULTS).mean()

    def test_without_predictions_nothing_is_tried_with_them(self):
        for seed in range(4):
            settings = tune(TEXT_SAMPLES, trials=3, seed=seed).settings
            assert settings.heads == 0
            assert not settings.shortened
