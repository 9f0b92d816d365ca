"""Where a row points to: known prompts like those it was made by, seen from other prompts."""

import numpy as np
import pytest

from mean_prompt.corpus.rows import Rows, Triples
from mean_prompt.hybrid.index import VectorIndex
from mean_prompt.hybrid.keys import PREDICTION_KEYS, TEXT_KEYS, Key, RowVectors, normalized
from mean_prompt.hybrid.retrieval import (
    Bank,
    Neighbourhood,
    Retriever,
    choose_key,
    grouped_folds,
    indexed_vectors,
    softmax_weights,
)
from mean_prompt.system.errors import InputError

pytestmark = pytest.mark.usefixtures("one_thread")

WIDTH = 8


def triples_of(prompts):
    ids = tuple(str(number) for number in range(len(prompts)))
    return Triples(Rows(ids, ids, ids), tuple(prompts))


def noise(count, seed):
    return normalized(np.random.default_rng(seed).standard_normal((count, WIDTH)))


class World:
    """60 rows of 30 prompts, of which one part says what the prompt is and the others nothing."""

    def __init__(self, informative):
        prompts = noise(30, 0)
        self.triples = triples_of([f"prompt {number // 2}" for number in range(60)])
        self.targets = np.repeat(prompts, 2, axis=0)
        turn = np.linalg.qr(np.random.default_rng(1).standard_normal((WIDTH, WIDTH)))[0]
        told = normalized(self.targets @ turn + 0.02 * noise(60, 2))
        parts = {name: noise(60, 3 + n) for n, name in enumerate(("o", "r", "p"))}
        if informative == "difference":
            # Each text alone is drowned in what the texts are about; only the change tells.
            parts["o"] = 20 * parts["o"]
            parts["r"] = parts["o"] + told
        else:
            parts[{"original": "o", "rewritten": "r", "prediction": "p"}[informative]] = told
        self.rows = RowVectors(*(part.astype(np.float32) for part in parts.values()))

    @property
    def bank(self):
        return Bank.of(self.triples, self.targets)


class TestBank:
    def test_equal_prompts_are_one_in_any_case_and_spacing(self):
        triples = triples_of(["Make it rhyme", "Sing", "make  it RHYME ", "Sing!", "sing"])
        vectors = noise(5, 0)
        bank = Bank.of(triples, vectors)
        assert sorted(bank.prompts) == ["Make it rhyme", "Sing", "Sing!"]
        texts = [bank.prompts[number] for number in bank.prompt_of]
        assert texts == ["Make it rhyme", "Sing", "Make it rhyme", "Sing!", "Sing"]
        first = [triples.prompts.index(prompt) for prompt in bank.prompts]
        np.testing.assert_array_equal(bank.vectors, vectors[first])


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

    def test_heat_gives_equal_shares(self):
        cosines, numbers = np.array([[0.9, -0.9, 0.0, 1.0]], np.float32), np.array([[1, 2, 3, -1]])
        found = softmax_weights(cosines, numbers, 1e300)
        np.testing.assert_allclose(found, [[1 / 3, 1 / 3, 1 / 3, 0]])

    def test_no_neighbours_at_all(self):
        none = np.empty((2, 0))
        assert softmax_weights(none, none.astype(np.int64), 0.1).shape == (2, 0)

    def test_a_neighbourhood_weighs_its_first_k(self):
        cosines = np.array([[0.9, 0.5, 0.1]], np.float32)
        around = Neighbourhood(noise(1, 0), np.array([[4, 2, 0]]), cosines)
        expected = softmax_weights(cosines[:, :2], np.array([[4, 2]]), 0.2)
        np.testing.assert_array_equal(around.weights(0.2, 2), expected)


class TestRetriever:
    def test_a_raw_key_finds_the_prompts_of_rows_like_it(self):
        world = World("rewritten")
        key = Key("raw", ("rewritten", "difference"))
        found = Retriever(key, world.rows, world.bank).look(world.rows, 7)
        features = normalized(world.rows.features(key.parts))
        cosines = features @ features.T
        nearest = np.argsort(-cosines, axis=1)[:, :7]
        np.testing.assert_array_equal(found.numbers, world.bank.prompt_of[nearest])
        sorted_cosines = np.take_along_axis(cosines, nearest, axis=1)
        np.testing.assert_allclose(found.cosines, sorted_cosines, atol=1e-6)
        for row in range(60):
            raised = np.exp(sorted_cosines[row] / 0.05)
            pulled = (raised / raised.sum()) @ world.targets[nearest[row]]
            expected = pulled / np.linalg.norm(pulled)
            np.testing.assert_allclose(found.centres[row], expected, atol=1e-5)

    def test_a_ridge_key_finds_the_prompts_around_what_it_expects(self):
        world = World("rewritten")
        key = Key("ridge", ("original", "rewritten"), 3.0)
        found = Retriever(key, world.rows, world.bank).look(world.rows, 5)
        x, t = world.rows.features(key.parts).astype(float), world.targets.astype(float)
        centred = x - x.mean(axis=0)
        gram = centred.T @ centred + 3.0 * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, centred.T @ (t - t.mean(axis=0)))
        expected = normalized(centred @ weights + t.mean(axis=0))
        np.testing.assert_allclose(found.centres, expected, atol=1e-4)
        cosines = expected @ world.bank.vectors.T
        np.testing.assert_array_equal(found.numbers, np.argsort(-cosines, axis=1)[:, :5])
        np.testing.assert_allclose(found.cosines[:, 0], cosines.max(axis=1), atol=1e-4)

    @pytest.mark.parametrize("kind", ["raw", "ridge"])
    def test_neighbours_that_an_index_does_not_find_count_for_nothing(self, kind):
        world = World("rewritten")
        key = Key(kind, ("rewritten",))
        vectors = indexed_vectors(key, world.rows, world.bank)
        index = VectorIndex(vectors, "ivf")
        found = Retriever(key, world.rows, world.bank, index=index).look(world.rows, 30)
        assert (found.numbers < 0).any()
        assert (found.numbers[:, 0] >= 0).all()
        np.testing.assert_allclose(np.linalg.norm(found.centres, axis=1), 1, atol=1e-5)
        weights = found.weights(0.05, 30)
        assert (weights[found.numbers < 0] == 0).all()
        np.testing.assert_allclose(weights.sum(axis=1), 1)
        if kind == "raw":
            pulled = np.einsum("mk,mkd->md", weights, world.bank.vectors[found.numbers])
            np.testing.assert_allclose(found.centres, normalized(pulled), atol=1e-5)

    def test_where_nothing_is_found_the_centre_is_nowhere(self):
        world = World("rewritten")

        class Blind:
            def search(self, queries, k):
                return np.full((len(queries), k), -1, np.float32), np.full((len(queries), k), -1)

        key = Key("raw", ("rewritten",))
        found = Retriever(key, world.rows, world.bank, index=Blind()).look(world.rows, 4)
        assert (found.centres == 0).all()
        assert (found.numbers == -1).all()

    def test_an_index_holds_rows_of_a_raw_key_and_prompts_of_a_ridge_key(self):
        world = World("rewritten")
        rows = indexed_vectors(Key("raw", ("difference",)), world.rows, world.bank)
        assert rows.shape == (60, WIDTH)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
        prompts = indexed_vectors(Key("ridge", ("difference",)), world.rows, world.bank)
        np.testing.assert_array_equal(prompts, world.bank.vectors)


class TestFolds:
    def test_every_row_is_tested_once_and_no_prompt_is_split(self):
        prompts = [f"Prompt  {n % 13}" if n % 2 else f"prompt {n % 13}".upper() for n in range(90)]
        groups = triples_of(prompts).groups()
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

    def test_they_go_by_the_seed(self):
        groups = np.arange(40)
        tests = [[list(test) for _, test in grouped_folds(groups, seed=s)] for s in (0, 0, 1)]
        assert tests[0] == tests[1] != tests[2]

    def test_few_prompts_are_few_folds(self):
        assert len(list(grouped_folds(np.array([0, 0, 1, 2])))) == 3

    @pytest.mark.parametrize("groups", [[0, 0, 0], []])
    def test_one_prompt_is_too_few(self, groups):
        with pytest.raises(InputError, match=rf"two different prompts.* in {len(groups)} rows"):
            list(grouped_folds(np.array(groups, np.int64)))


class TestChoice:
    @pytest.mark.parametrize("part", ["original", "rewritten", "difference"])
    def test_of_the_texts_the_part_that_tells_is_chosen(self, part):
        world = World(part)
        keys = (*TEXT_KEYS, Key("ridge", ("original",)))
        key, scores = choose_key(keys, world.rows, world.triples, world.targets)
        # What a part tells is a turned prompt, which only a learned key can turn back.
        assert key.kind == "ridge"
        assert part in key.parts
        if part == "difference":
            assert key.parts == ("difference",)
        assert scores[str(key)] == max(scores.values()) > 0.6
        dull = Key("ridge", ("rewritten" if part == "original" else "original",))
        assert scores[str(dull)] < 0.2
        assert len(scores) == len(keys)

    def test_a_prediction_is_used_where_it_alone_tells(self):
        world = World("prediction")
        keys = (*TEXT_KEYS, *PREDICTION_KEYS)
        key, scores = choose_key(keys, world.rows, world.triples, world.targets)
        assert "prediction" in key.parts
        assert scores[str(key)] > 0.6
        assert max(scores[str(other)] for other in TEXT_KEYS) < 0.3

    def test_keys_are_judged_on_prompts_that_they_have_not_seen(self):
        # Rows of one prompt are equal and prompts tell nothing of each other: whoever may look at
        # rows of the same prompt is right, and nobody else can be.
        triples = triples_of([f"Prompt {n // 4}" if n % 2 else f"prompt  {n // 4}"
                              for n in range(80)])  # fmt: skip
        targets, texts = np.repeat(noise(20, 0), 4, axis=0), np.repeat(noise(20, 1), 4, axis=0)
        rows = RowVectors(texts, texts[::-1].copy())
        _, scores = choose_key(TEXT_KEYS, rows, triples, targets)
        assert max(scores.values()) < 0.2

    def test_scores_are_the_mean_scs_of_the_centres(self):
        world = World("rewritten")
        key = Key("ridge", ("rewritten",), 1.0)
        _, scores = choose_key([key], world.rows, world.triples, world.targets, seed=4)
        earned = []
        for known, tested in grouped_folds(world.triples.groups(), seed=4):
            bank = Bank.of(world.triples.take(known), world.targets[known])
            centres = Retriever(key, world.rows.take(known), bank).look(world.rows.take(tested))
            for centre, target in zip(centres.centres, world.targets[tested], strict=True):
                earned.append(float(centre @ target) ** 3)
        assert scores == {str(key): pytest.approx(np.mean(earned), abs=1e-6)}
