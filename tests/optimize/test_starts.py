import numpy as np

from mean_prompt.optimize.starts import assembled_start, corpus_starts, filled_start, kicked


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


def test_an_assembled_start_is_made_of_phrases(make_evaluator, make_vocabulary):
    evaluator = make_evaluator(max_tokens=12)
    vocabulary = make_vocabulary(evaluator.rules)
    start = assembled_start(vocabulary, evaluator, np.random.default_rng(0))
    assert start.score == evaluator.exact([start])[0].score
    assert len(start.ids) >= 6
    assert "rewrite the text" in start.text or "make the poem" in start.text


def test_a_kick_moves_an_elite_and_none_leaves_it(make_evaluator, make_vocabulary):
    evaluator = make_evaluator()
    vocabulary = make_vocabulary(evaluator.rules)
    [elite] = evaluator.read(["make the text formal"])
    rng = np.random.default_rng(0)
    assert kicked(elite, vocabulary, evaluator, 0, rng) is elite
    assert kicked(elite, vocabulary, evaluator, 3, rng).text != elite.text


def test_a_filled_start_goes_on_with_other_prompts_up_to_the_limit(make_evaluator):
    evaluator = make_evaluator(max_tokens=6)
    starts = evaluator.read(["make the text", "poem", "story style", "formal email tone"])
    texts = set()
    for seed in range(20):
        start = filled_start(starts, evaluator, np.random.default_rng(seed))
        assert start.text.startswith("make the text ")
        assert len(start.ids) == 6
        assert start.score == evaluator.exact([start])[0].score
        texts.add(start.text)
    assert len(texts) > 3
    assert filled_start(starts[1:2], evaluator, np.random.default_rng(0)).text == "poem"


def test_a_start_whose_filling_breaks_a_rule_stays_alone(make_evaluator, monkeypatch):
    evaluator = make_evaluator(max_tokens=6)
    starts = evaluator.read(["make the text", "poem"])
    monkeypatch.setattr(evaluator, "screen", lambda bodies: [None] * len(bodies))
    assert filled_start(starts, evaluator, np.random.default_rng(0)) is starts[0]
