"""Retrieval: the prompts of known rows like a row, judged on other prompts alone."""

import numpy as np
import pytest

from mean_prompt.corpus.triples import Rows, Triples
from mean_prompt.encoder.space import EmbeddingSpace
from mean_prompt.hybrid import index as module
from mean_prompt.hybrid.retrieval import (
    MOST_PREDICTIONS,
    Bank,
    EmbeddedRows,
    KnownRows,
    Retriever,
    choose_key,
    grouped_folds,
    normalized,
    softmax_weights,
)
from mean_prompt.hybrid.settings import PREDICTION_KEYS, TEXT_KEYS, Key
from mean_prompt.system.deadline import Deadline, OutOfTimeError
from tests.hybrid.synthetic import encoder

pytestmark = pytest.mark.usefixtures("one_thread")

WIDTH = 8


def noise(count, seed):
    return normalized(np.random.default_rng(seed).standard_normal((count, WIDTH)))


@pytest.fixture(scope="module")
def space():
    return EmbeddingSpace(encoder())


def embedded(originals, rewritten, means=None):
    """Return rows with these vectors, and no strings."""
    means = np.zeros_like(originals) if means is None else means
    none = ((),) * len(originals)
    return EmbeddedRows(originals, rewritten, means, none, none)


def known_rows(rows, prompts, targets):
    ids = tuple(map(str, range(len(prompts))))
    groups = Triples(Rows(ids, ids, ids), tuple(prompts)).groups()
    return KnownRows(rows, tuple(prompts), targets, groups)


def world(informative):
    """Return 60 rows of 30 prompts, of which one part tells the prompt and the others nothing."""
    prompts = [f"prompt {number // 2}" for number in range(60)]
    targets = np.repeat(noise(30, 0), 2, axis=0)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((WIDTH, WIDTH)))[0]
    telling = normalized(targets @ turn + 0.02 * noise(60, 2))
    o, r, p = (noise(60, 3 + n) for n in range(3))
    if informative == "difference":
        # Each text alone is drowned in its subject; only the change tells.
        o = 20 * o
        r = o + telling
    elif informative == "rewritten":
        r = telling
    elif informative == "original":
        o = telling
    else:
        p = telling
    return known_rows(embedded(*(part.astype(np.float32) for part in (o, r, p))), prompts, targets)


class TestRows:
    ROWS = Rows(("a", "b", "c"), ("thing0 thing1", "", "thing2"), ("style0", "style2", "thing2"))
    PREDICTIONS = (("please turn style0", "make it style1"), (), ("turn it",))

    def test_texts_and_predictions_are_embedded(self, space):
        rows = EmbeddedRows.embed(self.ROWS, self.PREDICTIONS, space)
        encode = encoder().encode
        np.testing.assert_array_equal(rows.originals, encode(self.ROWS.originals))
        np.testing.assert_array_equal(rows.rewritten, encode(self.ROWS.rewritten))
        assert rows.with_prediction().tolist() == [0, 2]
        np.testing.assert_array_equal(rows.samples[0], encode(self.PREDICTIONS[0]))
        assert rows.samples[1].shape == (0, 24)
        mean = encode(self.PREDICTIONS[0]).mean(axis=0)
        np.testing.assert_allclose(rows.means[0], mean / np.linalg.norm(mean), atol=1e-6)
        assert not rows.means[1].any()

    def test_some_rows_keep_all_that_is_theirs(self, space):
        rows = EmbeddedRows.embed(self.ROWS, self.PREDICTIONS, space)
        some = rows.take(np.array([2, 0]))
        np.testing.assert_array_equal(some.means, rows.means[[2, 0]])
        np.testing.assert_array_equal(some.rewritten, rows.rewritten[[2, 0]])
        assert some.predictions == (self.PREDICTIONS[2], self.PREDICTIONS[0])
        assert len(rows.take(np.array([], np.int64))) == 0

    def test_only_the_likeliest_predictions_are_used(self, space):
        many = tuple(f"make it style{n}" for n in range(9))
        rows = EmbeddedRows.embed(self.ROWS.take([0]), [many], space)
        assert rows.predictions == (many[:MOST_PREDICTIONS],)
        assert len(rows.samples[0]) == MOST_PREDICTIONS

    def test_features_stand_in_the_order_of_the_parts(self):
        o, r, p = (np.array(rows, np.float32)
                   for rows in ([[1, 0], [0, 1]], [[0, 1], [0, 1]], [[3, 4]] * 2))  # fmt: skip
        features = embedded(o, r, p).features(["prediction", "difference", "original", "rewritten"])
        assert features.tolist() == [[3, 4, -1, 1, 1, 0, 0, 1], [3, 4, 0, 0, 0, 1, 0, 1]]

    def test_rows_are_scaled_to_unit_length_but_zeros(self):
        scaled = normalized(np.array([[3.0, 4.0], [0.0, 0.0]]))
        np.testing.assert_allclose(scaled, [[0.6, 0.8], [0, 0]], atol=1e-7)
        assert scaled.dtype == np.float32


def test_keys_are_all_different_and_named():
    keys = [*TEXT_KEYS, *PREDICTION_KEYS]
    assert len({str(key) for key in keys}) == len(set(keys)) == len(keys)
    assert str(Key("raw", ("original", "rewritten"))) == "raw original + rewritten"
    assert str(Key("ridge", ("rewritten",), 3.0)) == "ridge of rewritten (alpha 3)"
    assert not any("prediction" in key.parts for key in TEXT_KEYS)
    assert all("prediction" in key.parts for key in PREDICTION_KEYS)


def test_equal_prompts_are_one_in_any_case_and_spacing():
    prompts = ["Make it rhyme", "Sing", "make  it RHYME ", "Sing!", "sing"]
    vectors = noise(5, 0)
    bank = Bank.of(known_rows(embedded(vectors, vectors), prompts, vectors))
    assert sorted(bank.prompts) == ["Make it rhyme", "Sing", "Sing!"]
    texts = [bank.prompts[number] for number in bank.prompt_of]
    assert texts == ["Make it rhyme", "Sing", "Make it rhyme", "Sing!", "Sing"]
    first = [prompts.index(prompt) for prompt in bank.prompts]
    np.testing.assert_array_equal(bank.vectors, vectors[first])


def test_some_known_rows_are_grouped_as_if_there_were_no_others():
    vectors = noise(4, 0)
    known = known_rows(embedded(vectors, vectors), ["a", "b", "c", "b"], vectors)
    some = known.take(np.array([3, 2, 1]))
    assert some.groups.tolist() == [0, 1, 0]
    assert some.prompts == ("b", "c", "b")
    np.testing.assert_array_equal(some.targets, vectors[[3, 2, 1]])


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
    def test_a_raw_key_finds_the_prompts_of_rows_like_it(self):
        known = world("rewritten")
        bank = Bank.of(known)
        key = Key("raw", ("rewritten", "difference"))
        found = Retriever(key, known).retrieve(known.rows, 7)
        features = normalized(known.rows.features(key.parts))
        cosines = features @ features.T
        nearest = np.argsort(-cosines, axis=1)[:, :7]
        np.testing.assert_array_equal(found.numbers, bank.prompt_of[nearest])
        sorted_cosines = np.take_along_axis(cosines, nearest, axis=1)
        np.testing.assert_allclose(found.cosines, sorted_cosines, atol=1e-6)
        for row in range(60):
            raised = np.exp(sorted_cosines[row] / 0.05)
            pulled = (raised / raised.sum()) @ known.targets[nearest[row]]
            expected = pulled / np.linalg.norm(pulled)
            np.testing.assert_allclose(found.centres[row], expected, atol=1e-5)

    def test_a_ridge_key_finds_the_prompts_around_the_point_it_maps_to(self):
        known = world("rewritten")
        bank = Bank.of(known)
        key = Key("ridge", ("original", "rewritten"), 3.0)
        found = Retriever(key, known).retrieve(known.rows, 5)
        x, t = known.rows.features(key.parts).astype(float), known.targets.astype(float)
        centred = x - x.mean(axis=0)
        gram = centred.T @ centred + 3.0 * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, centred.T @ (t - t.mean(axis=0)))
        expected = normalized(centred @ weights + t.mean(axis=0))
        np.testing.assert_allclose(found.centres, expected, atol=1e-4)
        cosines = expected @ bank.vectors.T
        np.testing.assert_array_equal(found.numbers, np.argsort(-cosines, axis=1)[:, :5])
        np.testing.assert_allclose(found.cosines[:, 0], cosines.max(axis=1), atol=1e-4)

    @pytest.mark.parametrize("kind", ["raw", "ridge"])
    def test_neighbours_that_an_index_does_not_find_weigh_nothing(self, kind, monkeypatch):
        monkeypatch.setattr(module, "APPROXIMATE_ABOVE", 0)
        known = world("rewritten")
        found = Retriever(Key(kind, ("rewritten",)), known).retrieve(known.rows, 30)
        assert (found.numbers < 0).any()
        assert (found.numbers[:, 0] >= 0).all()
        np.testing.assert_allclose(np.linalg.norm(found.centres, axis=1), 1, atol=1e-5)
        weights = softmax_weights(found.cosines, found.numbers, 0.05)
        np.testing.assert_allclose(weights.sum(axis=1), 1)
        if kind == "raw":
            vectors = Bank.of(known).vectors[found.numbers]
            pulled = np.einsum("mk,mkd->md", weights, vectors)
            np.testing.assert_allclose(found.centres, normalized(pulled), atol=1e-5)


class TestFolds:
    def test_every_row_is_tested_once_and_no_prompt_is_split(self):
        prompts = [f"Prompt  {n % 13}" if n % 2 else f"prompt {n % 13}".upper() for n in range(90)]
        groups = known_rows(None, prompts, None).groups
        tested = []
        folds = list(grouped_folds(groups))
        for known, test in folds:
            assert set(known) | set(test) == set(range(90))
            spellings = [{prompts[row].lower().replace("  ", " ") for row in part}
                         for part in (known, test)]  # fmt: skip
            assert not spellings[0] & spellings[1]
            tested += list(test)
        assert sorted(tested) == list(range(90))
        assert len(folds) == 5


def held_out_score(folds, known):
    """Return the mean SCS of the centres of held-out rows, one after the other."""
    earned = []
    for fold in folds:
        assert set(fold.rows) | set(fold.others) == set(range(len(known)))
        centres = fold.retriever.retrieve(known.rows.take(fold.rows)).centres
        for centre, target in zip(centres, known.targets[fold.rows], strict=True):
            earned.append(float(centre @ target) ** 3)
    assert len(earned) == len(known)
    return np.mean(earned)


class TestChoice:
    @pytest.mark.parametrize("part", ["original", "rewritten", "difference"])
    def test_the_part_of_the_texts_that_tells_is_chosen(self, part):
        known = world(part)
        keys = (*TEXT_KEYS, Key("ridge", ("original",)))
        folds = choose_key(keys, known)
        key = folds[0].retriever.key
        # The part tells a turned prompt, which only a learned key can turn back.
        assert key.kind == "ridge"
        assert part in key.parts
        if part == "difference":
            assert key.parts == ("difference",)
        best = held_out_score(folds, known)
        assert best > 0.6
        others = [held_out_score(choose_key([one], known), known) for one in keys]
        assert best == max(others)
        dull = Key("ridge", ("rewritten" if part == "original" else "original",))
        assert held_out_score(choose_key([dull], known), known) < 0.2

    def test_a_prediction_is_used_if_it_alone_tells(self):
        known = world("prediction")
        folds = choose_key((*TEXT_KEYS, *PREDICTION_KEYS), known)
        assert "prediction" in folds[0].retriever.key.parts
        assert held_out_score(folds, known) > 0.6
        assert held_out_score(choose_key(TEXT_KEYS, known), known) < 0.3

    def test_keys_are_judged_on_prompts_that_they_have_not_seen(self):
        # Rows of one prompt are equal and prompts tell nothing of each other: a key that sees
        # rows of the same prompt is right, and no other can be.
        prompts = [f"Prompt {n // 4}" if n % 2 else f"prompt  {n // 4}" for n in range(80)]
        targets, texts = np.repeat(noise(20, 0), 4, axis=0), np.repeat(noise(20, 1), 4, axis=0)
        known = known_rows(embedded(texts, texts[::-1].copy()), prompts, targets)
        assert held_out_score(choose_key(TEXT_KEYS, known), known) < 0.2

    def test_the_deadline_ends_it(self):
        with pytest.raises(OutOfTimeError):
            choose_key(TEXT_KEYS, world("rewritten"), deadline=Deadline(0))
