"""What candidates are worth under each part of the posterior, against a slow oracle."""

import numpy as np
import pytest

from mean_prompt.hybrid.candidates import AnswerCandidate
from mean_prompt.hybrid.posterior import (
    Near,
    RowCandidates,
    expected_known,
    scs_between,
    signs_of,
)
from mean_prompt.hybrid.retrieval import Bank, Neighbourhood
from mean_prompt.hybrid.settings import BlendSettings
from mean_prompt.objective.scs import ExpectedSCS, normalized

KINDS = ("universal", "prediction", "consensus", "shortened", "template", "line", "retrieved",
         "joined", "affixed")  # fmt: skip
CANDIDATES = [AnswerCandidate(" ".join(["word"] * (n + 1)), kind) for n, kind in enumerate(KINDS)]
SETTINGS = BlendSettings(temperature=0.2, neighbours=3)


def unit(count, seed):
    return normalized(np.random.default_rng(seed).standard_normal((count, 5)))


VECTORS, PREDICTIONS, CORPUS = unit(len(KINDS), 0), unit(2, 1), unit(6, 2)
WEIGHTS = np.arange(1.0, 7.0)
BANK = Bank(tuple("abcd"), unit(4, 4), np.arange(4))
#: Two rows; of the second, the third neighbour was not found.
BY_TEXT = Neighbourhood(
    unit(2, 5),
    np.array([[0, 1, 2, 3], [3, 1, -1, -1]]),
    np.array([[0.9, 0.8, 0.5, 0.4], [0.7, 0.6, -1, -1]], np.float32),
)
BY_ALL = Neighbourhood(
    unit(2, 6),
    np.array([[2, 0, 1, 3], [2, 3, 0, 1]]),
    np.array([[0.8, 0.3, 0.2, 0.1], [0.9, 0.8, 0.5, 0.4]], np.float32),
)


def compared(row, *, with_llm, with_corpus):
    objectives = [ExpectedSCS(BANK.vectors)]
    if with_corpus:
        objectives.append(ExpectedSCS(CORPUS, WEIGHTS))
    return RowCandidates(
        candidates=CANDIDATES,
        vectors=VECTORS,
        by_text=Near.of(VECTORS, BY_TEXT, row, BANK),
        by_all=Near.of(VECTORS, BY_ALL, row, BANK) if with_llm else None,
        llm=scs_between(VECTORS, PREDICTIONS).mean(axis=1) if with_llm else None,
        known=expected_known(VECTORS, objectives),
        signs=np.zeros(5) if with_llm else None,
    )


def scs(a, b):
    cosine = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
    return np.sign(cosine) * abs(cosine) ** 3


def expectation(vector, found, row, temperature):
    """Return the expected SCS over the first three neighbours, one after the other."""
    total = mass = 0.0
    for number, cosine in list(zip(found.numbers[row], found.cosines[row], strict=True))[:3]:
        if number >= 0:
            share = np.exp(float(cosine) / temperature)
            total += share * scs(vector, BANK.vectors[number])
            mass += share
    return total / mass


def oracle(name, row, number):
    """Return one feature of one candidate by its name."""
    vector, candidate = VECTORS[number], CANDIDATES[number]
    if name.startswith("is "):
        return float(candidate.kind == name.removeprefix("is "))
    what, _, by = name.partition(" by ")
    found = {"text": BY_TEXT, "all": BY_ALL}.get(by)
    return {
        "centre": lambda: scs(vector, found.centres[row]),
        "cosine": lambda: vector @ found.centres[row],
        "near": lambda: expectation(vector, found, row, 0.2),
        "near2": lambda: expectation(vector, found, row, 0.4),
        "known": lambda: np.mean([scs(vector, prompt) for prompt in BANK.vectors]),
        "corpus": lambda: np.average([scs(vector, one) for one in CORPUS], weights=WEIGHTS),
        "llm": lambda: np.mean([scs(vector, prediction) for prediction in PREDICTIONS]),
        "words": lambda: number + 1,
        "log words": lambda: np.log(number + 1),
    }[what]()


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("with_llm", [False, True])
@pytest.mark.parametrize("with_corpus", [False, True])
def test_features_are_what_their_names_say(row, with_llm, with_corpus):
    features = compared(row, with_llm=with_llm, with_corpus=with_corpus).features(SETTINGS)
    names = ["centre by text", "near by text", "near2 by text", "known"]
    names += ["corpus"] if with_corpus else []
    names += ["cosine by text", "words", "log words", *(f"is {kind}" for kind in KINDS[2:])]
    by_all = ["llm", "centre by all", "near by all", "near2 by all", "cosine by all"]
    names += by_all if with_llm else []
    expected = [[oracle(name, row, number) for name in names] for number in range(len(CANDIDATES))]
    assert features.shape == (len(CANDIDATES), len(names))
    np.testing.assert_allclose(features, expected, atol=1e-6)


def test_a_row_without_neighbours_expects_nothing_of_them():
    none = Neighbourhood(unit(1, 5) * 0, np.full((1, 4), -1), np.full((1, 4), -1, np.float32))
    for terms in Near.of(VECTORS, none, 0, BANK).terms(SETTINGS):
        assert terms.tolist() == [0] * len(KINDS)


def test_signs_compare_a_prediction_with_all_that_is_known():
    prediction, centre, original, rewritten = unit(4, 7)
    found = signs_of(prediction, centre, original, rewritten, BANK.vectors)
    mean = BANK.vectors.mean(axis=0)
    nearest = max(float(prediction @ prompt) for prompt in BANK.vectors)
    expected = [prediction @ centre, prediction @ original, prediction @ rewritten, nearest,
                prediction @ (mean / np.linalg.norm(mean))]  # fmt: skip
    np.testing.assert_allclose(found, expected, atol=1e-6)
