"""A string in a corpus's space, by a model that can be computed by hand."""

import numpy as np
import pytest

from mean_prompt.objective.scs import ExpectedSCS
from mean_prompt.report.analysis.data import Analysis
from mean_prompt.report.analysis.space import CorpusSpace
from mean_prompt.report.analysis.tokens import token_worths
from tests.fakes import FakeEncoder

PROMPTS = ["rewrite the text", "make the poem formal", "the story", "email style", "formal tone"]
WEIGHTS = np.array([4.0, 3.0, 1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def encoder():
    return FakeEncoder()


@pytest.fixture(scope="module")
def space(encoder):
    objective = ExpectedSCS(encoder.encode(PROMPTS), WEIGHTS)
    return CorpusSpace(PROMPTS, objective, objective.ceiling(), encoder)


def by_hand(encoder, text):
    return encoder.encode(PROMPTS) @ encoder.encode([text])[0]


def expected(encoder, text):
    return float(by_hand(encoder, text) ** 3 @ (WEIGHTS / WEIGHTS.sum()))


def test_a_tokens_worth_is_the_score_that_goes_with_it(encoder, space):
    worths = token_worths("make the text formal", encoder, space.objective)
    whole = expected(encoder, "make the text formal")
    for worth, rest in zip(
        worths,
        ["the text formal", "make text formal", "make the formal", "make the text"],
        strict=True,
    ):
        assert worth.worth == pytest.approx(whole - expected(encoder, rest), abs=1e-6)


@pytest.mark.parametrize(
    "text",
    ["make the text formal", "  make   the ", "made of rewriting's: (05oon)", "ünï😀 مرحبا", ""],
)
def test_pieces_are_the_string(minilm, text):
    vectors = minilm.encode(PROMPTS)
    pieces = [worth.piece for worth in token_worths(text, minilm, ExpectedSCS(vectors))]
    assert "".join(pieces) == (text if minilm.tokenize([text])[0] else "")


def test_tokens_that_the_model_does_not_read_have_no_worth(encoder, space):
    text = " ".join(["the", "text"] * 20)
    assert len(token_worths(text, encoder, space.objective)) == encoder.max_tokens == 16
    assert space.analyse_string(text).is_cut


def test_a_look_is_what_one_computes_by_hand(encoder, space):
    look = space.analyse_string("the formal text", listed=2)
    cosines = by_hand(encoder, "the formal text")
    order = np.argsort(-cosines)
    assert look.score == pytest.approx(expected(encoder, "the formal text"), abs=1e-6)
    assert look.fraction == pytest.approx(look.score / space.ceiling.value)
    assert [row.prompt for row in look.nearest] == [PROMPTS[i] for i in order[:2]]
    assert [row.prompt for row in look.farthest] == [PROMPTS[i] for i in order[:-3:-1]]
    assert look.nearest[0].cosine == pytest.approx(cosines[order[0]], abs=1e-5)
    assert look.nearest[0].share == pytest.approx(WEIGHTS[order[0]] / 10)
    assert look.spread.mean == pytest.approx(cosines @ WEIGHTS / 10, abs=1e-5)
    edges = np.array(look.spread.edges)
    bins = np.clip(np.searchsorted(edges, cosines, side="right") - 1, 0, len(edges) - 2)
    by_bin = np.bincount(bins, weights=WEIGHTS / 10, minlength=len(edges) - 1)
    assert look.spread.shares == pytest.approx(by_bin, abs=1e-6)


def test_clusters_cover_the_corpus_and_their_scores_add_up(space):
    analysis = space.analyse("the formal text")
    clusters = analysis.clusters
    assert sum(cluster.prompts for cluster in clusters) == len(PROMPTS)
    assert sum(cluster.share for cluster in clusters) == pytest.approx(1)
    earned = sum(cluster.share * cluster.score for cluster in clusters)
    assert earned == pytest.approx(analysis.look.score, abs=1e-6)
    shares = [cluster.share for cluster in clusters]
    assert shares == sorted(shares, reverse=True)
    assert all(cluster.example in PROMPTS for cluster in clusters)
    counted = np.bincount(analysis.map.clusters, minlength=len(clusters))
    assert counted.tolist() == [cluster.prompts for cluster in clusters]
    assert Analysis.model_validate_json(analysis.model_dump_json()) == analysis


def test_the_map_keeps_the_most_variance_and_each_prompt_in_its_place(space):
    vectors = space.encoder.encode(PROMPTS)
    spread = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False) ** 2
    drawn = space.analyse('<b>"the" 😀</b>').map
    assert drawn.explained == pytest.approx(spread[:2].sum() / spread.sum(), abs=1e-4)
    for row, prompt in enumerate(drawn.prompts):
        place = space.analyse_string(prompt).place
        assert place == pytest.approx((drawn.x[row], drawn.y[row]), abs=2e-4)


def test_prompts_without_words_have_clusters_without_names(minilm):
    prompts = ["😀😀", "!!!", "?!", "😀", "…", "🎉🎉"]
    objective = ExpectedSCS(minilm.encode(prompts))
    clusters = CorpusSpace(prompts, objective, objective.ceiling(), minilm).analyse("!").clusters
    assert [cluster.words for cluster in clusters] == [()] * len(clusters)


def test_clusters_of_meaning_are_named_by_their_words(minilm):
    poems = ["Write a poem", "Make it a poem", "A rhyming poem please", "Turn it into a poem"]
    pirates = ["Talk like a pirate", "A pirate tells it", "Pirate speech", "As a pirate would"]
    prompts = [*poems, *pirates]
    objective = ExpectedSCS(minilm.encode(prompts))
    clusters = (
        CorpusSpace(prompts, objective, objective.ceiling(), minilm).analyse("a poem").clusters
    )
    by_word = {cluster.words[0]: cluster.score for cluster in clusters}
    assert by_word["poem"] > by_word["pirate"]
