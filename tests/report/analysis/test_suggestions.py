"""Suggestions for the next edit, against every string that could have been suggested."""

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from mean_prompt.corpus.corpus import Corpus
from mean_prompt.optimize.constraints import Constraints
from mean_prompt.optimize.problem import Problem
from mean_prompt.report.analysis.space import CorpusSpace
from mean_prompt.report.analysis.suggestions import Suggester
from mean_prompt.system.deadline import Deadline, OutOfTimeError
from tests.fakes import WORDS, FakeEncoder
from tests.tiny_models import WORDS as TINY_WORDS

PROMPTS = [
    "rewrite the text",
    "make the poem formal",
    "the story tone",
    "email style",
    "formal tone text",
    "make the email formal",
]


def problem_of(encoder, prompts, *, holdout=0.0):
    corpus = Corpus.from_prompts(prompts)
    return Problem.build(corpus, encoder, holdout=holdout, seed=0)


@pytest.fixture(scope="module")
def fake():
    return FakeEncoder()


@pytest.fixture(scope="module")
def problem(fake):
    return problem_of(fake, PROMPTS)


@pytest.fixture(scope="module")
def suggester(fake, problem):
    return Suggester(problem, fake, Constraints(max_tokens=6))


@pytest.fixture(scope="module")
def tiny(tiny_bert):
    """A real tokenizer and model, a hold-out, and rules of every kind."""
    prompts = [f"{TINY_WORDS[i]} the {TINY_WORDS[i + 40]} text" for i in range(40)]
    problem = problem_of(tiny_bert, prompts, holdout=0.3)
    rules = Constraints(max_tokens=9, banned_words=("pirate",), prefix="Rewrite:")
    return CorpusSpace.of_problem(problem, tiny_bert), Suggester(problem, tiny_bert, rules)


def true_score(encoder, problem, text):
    cosines = encoder.encode(list(problem.prompts)) @ encoder.encode([text])[0]
    return float((cosines**3 * problem.weights).sum() / problem.weights.sum())


@pytest.mark.parametrize("text", ["the text", "tone tone tone the poem"])
def test_scores_and_gains_are_true_and_ordered(fake, problem, suggester, text):
    advice = suggester.suggest(text, count=8)
    assert len(advice.suggestions) == 8
    assert advice.fault is None
    base = true_score(fake, problem, text)
    for row in advice.suggestions:
        assert row.score == pytest.approx(true_score(fake, problem, row.text), abs=1e-6)
        assert row.gain == pytest.approx(row.score - base, abs=1e-6)
        assert row.text != text
    scores = [row.score for row in advice.suggestions]
    assert scores == sorted(scores, reverse=True)
    assert len({row.text for row in advice.suggestions}) == 8


@pytest.mark.parametrize("seed", range(3))
def test_no_single_replacement_is_better_than_the_best_suggestion(fake, problem, suggester, seed):
    words = np.random.default_rng(seed).choice(WORDS, 3).tolist()
    replaced = [
        " ".join([*words[:i], word, *words[i + 1 :]])
        for i in range(len(words))
        for word in WORDS
        if word != words[i]
    ]
    best = max(replaced, key=lambda text: true_score(fake, problem, text))
    advice = suggester.suggest(" ".join(words), count=100)
    suggested = {row.text for row in advice.suggestions}
    assert best in suggested


def test_the_same_string_is_given_the_same_suggestions(fake, problem, suggester):
    first = suggester.suggest("make the text")
    suggester.suggest("another story")
    assert suggester.suggest("make the text") == first
    assert Suggester(problem, fake, Constraints(max_tokens=6)).suggest("make the text") == first


def test_a_full_string_grows_no_longer_and_a_short_one_does(suggester):
    full = suggester.suggest("the text the poem the story", count=50)
    assert all(len(row.text.split()) <= 6 for row in full.suggestions)
    short = suggester.suggest("the text", count=50)
    assert any(row.edit.startswith("insert") for row in short.suggestions)


def test_edits_are_told_as_they_were_made(suggester):
    advice = suggester.suggest("make story email style", count=100)
    old = ["make", "story", "email", "style"]
    singles = [row for row in advice.suggestions if row.edit.startswith("replace")]
    for row in singles:
        new = row.text.split()
        if len(new) == len(old) and "; " not in row.edit:
            [at] = [i for i in range(4) if new[i] != old[i]]
            assert row.edit == f"replace “{old[at]}” by “{new[at]}” (token {at + 1})"
    kinds = {row.edit.split()[0] for row in advice.suggestions}
    assert {"replace", "insert"} <= kinds


def test_what_stays_is_left_as_it_was_typed(tiny):
    _, suggester = tiny
    text = "Rewrite: Make  The Text, Don't"
    for row in suggester.suggest(text).suggestions:
        kept = ("Make  The", "The Text", "Text,", "Don't")
        assert row.text.startswith("Rewrite: ")
        assert any(part in row.text for part in kept), row


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("make the text", "lacks the required prefix"),
        ("Rewrite: the story of the king and the queen and the dragon", "tokens, over 9"),
        ("Rewrite: the pirate text", "holds a banned word"),
        ("Rewrite: the [MASK] text", "holds the text of a special token"),
    ],
)
def test_a_string_that_breaks_a_rule_is_repaired(tiny, text, fault):
    _, suggester = tiny
    advice = suggester.suggest(text)
    assert fault in advice.fault
    assert advice.suggestions
    for row in advice.suggestions:
        [ids] = suggester._encoder.tokenize([row.text])
        assert suggester.rules.violation(row.text, ids) is None


def test_one_token_too_many_costs_the_least_worthy_one(fake, problem, suggester):
    text = "the text make poem formal email story"
    words = text.split()
    best = max(
        (" ".join([*words[:i], *words[i + 1 :]]) for i in range(7)),
        key=lambda rest: true_score(fake, problem, rest),
    )
    advice = suggester.suggest(text)
    assert advice.fault == "has 7 tokens, over 6"
    assert advice.suggestions[0].text == best
    assert advice.suggestions[0].edit.startswith("delete ")
    strict = Suggester(problem, fake, Constraints(max_tokens=4, banned_words=("email",)))
    advice = strict.suggest("email email")
    assert (advice.fault, advice.suggestions) == ("holds a banned word", ())


@pytest.mark.parametrize("text", ["", "  \n "])
def test_a_blank_string_is_begun_with_the_best_prompts(fake, problem, suggester, text):
    advice = suggester.suggest(text, count=3)
    expected = sorted(PROMPTS, key=lambda prompt: -true_score(fake, problem, prompt))[:3]
    assert [row.text for row in advice.suggestions] == expected
    assert [row.gain for row in advice.suggestions] == [None] * 3


def test_work_that_nobody_waits_for_ends(suggester):
    deadline = Deadline()
    deadline.stop()
    with pytest.raises(OutOfTimeError):
        suggester.suggest("make the text", deadline=deadline)


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    st.lists(
        st.sampled_from([*TINY_WORDS[:60], "Rewrite:", "pirate", "[SEP]", "😀"]), max_size=14
    ).map(" ".join),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=TEXTS)
@example(text="Rewrite: ")
@example(text="Rewrite: \u202e\u0646\u0635 <script>alert('x')</script>")
@example(text="x" * 3_000)
def test_any_string_is_looked_at_and_every_suggestion_keeps_to_the_rules(tiny, text):
    space, suggester = tiny
    look = space.analyse_string(text)
    assert -1 <= look.score <= space.ceiling.value + 1e-6
    advice = suggester.suggest(text, count=4)
    assert advice.text.strip() == text.strip()
    for row in advice.suggestions:
        [ids] = space.encoder.tokenize([row.text])
        assert suggester.rules.violation(row.text, ids) is None
        assert len(ids) <= 9
        assert row.score == pytest.approx(
            space.analyse_string(row.text, with_worths=False).score, abs=1e-5
        )
