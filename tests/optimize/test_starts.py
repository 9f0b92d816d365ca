import numpy as np

from mean_prompt.optimize.starts import assembled_start, corpus_starts, kicked


def test_corpus_starts_are_the_best_prompts_under_the_rules(fake, make_evaluator):
    evaluator = make_evaluator(max_tokens=2, banned_words=("poem",))
    prompts = ["make text", "poem", "formal email tone", "rewrite", "story"]
    found = corpus_starts(prompts, fake.encode(prompts), evaluator)
    assert {row.text for row in found} == {"make text", "formal email", "rewrite", "story"}
    scores = [row.score for row in found]
    assert scores == sorted(scores, reverse=True)


def test_a_hundred_bad_prompts_do_not_hide_a_good_one(fake, make_evaluator):
    evaluator = make_evaluator(banned_words=("poem",))
    prompts = [*["poem"] * 100, "story"]
    assert [row.text for row in corpus_starts(prompts, fake.encode(prompts), evaluator)] == [
        "story"
    ]


def test_an_assembled_start_is_made_of_phrases(make_evaluator, make_material):
    evaluator = make_evaluator(max_tokens=12)
    material = make_material(evaluator.rules)
    start = assembled_start(material, evaluator, np.random.default_rng(0))
    assert start.score == evaluator.exact([start])[0].score
    assert len(start.ids) >= 6
    assert "rewrite the text" in start.text or "make the poem" in start.text


def test_a_kick_moves_an_elite_and_none_leaves_it(make_evaluator, make_material):
    evaluator = make_evaluator()
    material = make_material(evaluator.rules)
    [elite] = evaluator.read(["make the text formal"])
    rng = np.random.default_rng(0)
    assert kicked(elite, material, evaluator, 0, rng) is elite
    assert kicked(elite, material, evaluator, 3, rng).text != elite.text
