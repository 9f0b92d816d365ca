from operator import ne

import numpy as np

from mean_prompt.optimize.starts import assembled_start, corpus_starts, filled_start, kicked


def test_corpus_starts_are_the_best_prompts_under_the_rules(fake, make_evaluator):
    evaluator = make_evaluator(max_tokens=2, banned_words=("poem",))
    prompts = ["make text", "poem", "formal email tone", "rewrite", "story"]
    found = corpus_starts(prompts, fake.encode(prompts), evaluator)
    assert {row.text for row in found} == {"make text", "formal email", "rewrite", "story"}
    scores = [row.score for row in found]
    assert scores == sorted(scores, reverse=True)
    # A hundred bad prompts do not hide a good one.
    prompts = [*["poem"] * 100, "story"]
    [row] = corpus_starts(prompts, fake.encode(prompts), evaluator)
    assert row.text == "story"


def test_an_assembled_start_is_made_of_phrases(make_evaluator, make_vocabulary):
    evaluator = make_evaluator(max_tokens=12)
    vocabulary = make_vocabulary(evaluator.rules)
    start = assembled_start(vocabulary, evaluator, np.random.default_rng(0))
    assert start.score == evaluator.exact([start])[0].score
    assert len(start.ids) >= 6
    assert "rewrite the text" in start.text or "make the poem" in start.text


def test_a_kick_changes_at_most_so_many_tokens_of_an_elite(make_evaluator, make_vocabulary):
    evaluator = make_evaluator()
    vocabulary = make_vocabulary(evaluator.rules)
    [elite] = evaluator.read(["make the text formal"])
    for edits, most in ((0, 0), (1, 1), (3, 3), (99, 4)):
        rngs = map(np.random.default_rng, range(20))
        bodies = [kicked(elite, vocabulary, evaluator, edits, rng).body for rng in rngs]
        assert max(sum(map(ne, elite.body, body)) for body in bodies) == most


def test_a_filled_start_continues_with_other_prompts_up_to_the_limit(make_evaluator, monkeypatch):
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
    # A start whose filling breaks a rule stays alone.
    monkeypatch.setattr(evaluator, "screen", lambda bodies: [None] * len(bodies))
    assert filled_start(starts, evaluator, np.random.default_rng(0)) is starts[0]
