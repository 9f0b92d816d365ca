"""Strings that might answer a row."""

import pytest
from hypothesis import given, settings, strategies as st

from mean_prompt.hybrid.candidates import (
    SEPARATORS,
    AnswerCandidate,
    CandidateFactory,
    CandidateInputs,
    allowed_numbers,
    consensus,
    joined,
    opening,
    shortenings,
)
from mean_prompt.hybrid.settings import MOST_HEADS, BlendSettings
from mean_prompt.training.views import Row
from mean_prompt.training.wording import Beginnings, Wording

UNIVERSAL = "Improve the text"


def known(*beginnings):
    """Return beginnings that are these alone."""
    return Beginnings((), (), beginnings)


WORDING = Wording(
    known("Sure, here is the letter as"),
    known("Rewrite the letter"),
    ("Rewrite the text", "Turn it into"),
)


def row(predictions=(), rewritten="", wording=WORDING):
    return Row("Dear sir", rewritten, tuple(predictions), wording)


PARTS = CandidateInputs(
    row(
        ["Rewrite the letter as a sea shanty, with a chorus. Make it fun.", "Sing it."],
        "**Sure, here is the letter as a shanty:**\n\nHo, ho",
    ),
    by_text=["Turn it into a song", "Make it rhyme", "Be brief", "Sing it."],
    by_all=["Write a shanty", "Turn it into a song"],
)

anything = st.one_of(st.text(max_size=60), st.sampled_from([" ", "\n", ".", ". ", "\u2003"]))
words = ["Turn", "it", "into", "a", "song", "for", "me,", "please.", "-", "As", "if", "."]
worded = st.lists(st.sampled_from(words), max_size=14).map(" ".join)
texts = st.lists(st.one_of(anything, worded), max_size=3)
# A wording never holds a head that has no word.
heads = st.lists(st.one_of(anything, worded).filter(str.split), max_size=MOST_HEADS + 2)
beginnings = st.builds(Beginnings, st.just(()), st.just(()), texts)
wordings = st.builds(Wording, beginnings, beginnings, heads.map(tuple))
parts = st.builds(
    CandidateInputs, st.builds(row, texts, st.one_of(anything, worded), wordings), texts, texts
)
choices = st.builds(
    BlendSettings,
    heads=st.integers(0, MOST_HEADS),
    shortened=st.booleans(),
    joined=st.sampled_from([*SEPARATORS, None]),
    affixed=st.booleans(),
)
affixes = st.one_of(st.none(), anything)
factories = st.builds(CandidateFactory, st.just(UNIVERSAL), prefix=affixes, suffix=affixes)


def of_kind(found, kind):
    return [one.text for one in found if one.kind == kind]


@settings(deadline=None)  # other work may hold a test up
@given(factories, parts, choices)
def test_any_text_makes_distinct_strings_of_the_chosen_kinds(factory, inputs, choice):
    found = factory.candidates(inputs, choice)
    assert found[0] == AnswerCandidate(UNIVERSAL, "universal")
    assert all(one.text.strip() for one in found)
    assert len({one.text for one in found}) == len(found)
    for one in found:
        assert one.kind != "template" or one.head < choice.heads
        assert one.kind != "shortened" or choice.shortened
        assert one.kind != "joined" or one.separator == choice.joined
        assert one.kind != "affixed" or choice.affixed
        assert (one.separator != "") == (one.kind in {"joined", "affixed"})


@settings(deadline=None)
@given(factories, parts, choices)
def test_choosing_later_is_choosing_at_once(factory, inputs, choice):
    everything = factory.candidates(inputs)
    assert len(set(everything)) == len(everything)
    later = [everything[number] for number in allowed_numbers(everything, choice)]
    assert later == factory.candidates(inputs, choice)


@settings(deadline=None)
@given(st.lists(st.one_of(anything, worded)))
def test_rules_take_any_text(prompts):
    for prompt in prompts:
        assert max(map(len, shortenings(prompt))) <= len(prompt)
        assert len(opening(prompt, 6).split()) <= 6
    # A word is of the first prediction, which may hold it twice.
    assert set(consensus(prompts).split()) <= set(prompts[0].split() if prompts else ())


def test_what_a_row_is_made_into():
    factory = CandidateFactory(UNIVERSAL, prefix="Please", suffix="Thanks")
    found = factory.candidates(PARTS, BlendSettings(joined=". ", heads=1))
    first, second = PARTS.predictions
    assert of_kind(found, "universal") == [UNIVERSAL]
    assert of_kind(found, "prediction") == [first, second]
    assert set(of_kind(found, "shortened")) == {
        "Rewrite the letter as a sea shanty, with a chorus",
        "Rewrite the letter as a sea shanty",
        "Rewrite the letter as a sea",
        "Rewrite the letter as a sea shanty, with",
        "Sing it",
    }
    # The second prediction begins like no other, so that all of it follows the head.
    assert of_kind(found, "template") == [
        "Rewrite the text as a sea shanty, with a chorus",
        "Rewrite the text as a sea shanty",
        "Rewrite the text Sing it",
    ]
    assert of_kind(found, "consensus") == []  # of two there is none
    assert of_kind(found, "line") == [
        "Sure, here is the letter as a shanty",
        "a shanty",
        "Rewrite the text a shanty",
        "Turn it into a shanty",
    ]
    # "Sing it." is a prediction already.
    assert of_kind(found, "retrieved") == ["Write a shanty", *PARTS.by_text[:1], "Make it rhyme",
                                           "Be brief"]  # fmt: skip
    pairs = of_kind(found, "joined")
    assert "Write a shanty. Turn it into a song" in pairs
    assert "Turn it into a song. Make it rhyme. Be brief" in pairs
    assert f"{first} Sing it." in pairs
    assert "Sing it. Write a shanty" in pairs
    assert all("Improve" not in text and "Thanks" not in text for text in pairs)
    affixed = of_kind(found, "affixed")
    for text in (first, second, "Turn it into a song", "Make it rhyme"):
        bare = text.rstrip(".")
        for wanted in (f"{bare}. Improve the text", f"Improve the text. {text}", f"{bare}. Thanks",
                       f"Please. {text}"):  # fmt: skip
            assert wanted in affixed
    assert len(affixed) == 16


def test_without_predictions_there_is_what_was_retrieved():
    inputs = CandidateInputs(row(["Left out"] * 3), by_text=["One", "Two"])
    assert inputs.predictions == ()
    found = CandidateFactory(UNIVERSAL).candidates(inputs)
    assert {one.kind for one in found} == {"universal", "retrieved", "joined", "affixed"}
    assert of_kind(found, "joined") == ["One Two", "One. Two"]
    assert all("Left out" not in one.text for one in found)


def test_the_consensus_of_three_predictions_is_a_candidate():
    said = ["Turn it into a sad song", "turn it into a poem", "Make it a song"]
    inputs = CandidateInputs(row(said), by_all=["Sing"])
    found = CandidateFactory(UNIVERSAL).candidates(inputs)
    assert of_kind(found, "consensus") == ["Turn it into a song"]


@pytest.mark.parametrize(
    ("predictions", "kept"),
    [
        (["a b", "a b"], ""),  # no majority is possible
        (["a b c", "b c d", "C d e"], "b c"),  # half of the others is enough
        (["a b c", "b x", "b x", "c x"], "b"),
        (["One two ONE", "one", "one"], "One ONE"),
        (["a", "b", "c"], ""),
    ],
)
def test_a_consensus_is_what_half_of_the_others_say_too(predictions, kept):
    assert consensus(predictions) == kept


def test_a_string_that_comes_about_in_two_ways_counts_as_the_first_that_is_allowed():
    # "Sing it. Be brief" is both: with a space between, and with a full stop that is not doubled.
    inputs = CandidateInputs(row(), by_text=["Sing it.", "Be brief"])
    text, factory = "Sing it. Be brief", CandidateFactory(UNIVERSAL)
    every = [one.separator for one in factory.candidates(inputs) if one.text == text]
    assert every == list(SEPARATORS)
    for separator in SEPARATORS:
        found = factory.candidates(inputs, BlendSettings(joined=separator))
        assert AnswerCandidate(text, "joined", separator=separator) in found


def test_affixes_stand_beside_a_space_where_nothing_is_joined():
    found = CandidateFactory(UNIVERSAL).candidates(
        CandidateInputs(row(), by_text=["Sing"]), BlendSettings(joined=None)
    )
    assert of_kind(found, "affixed") == ["Sing Improve the text", "Improve the text Sing"]


@pytest.mark.parametrize(
    ("text", "sentence", "clause", "core"),
    [
        ("Make it formal. Keep the names.", "Make it formal", "Make it formal", "Make it formal"),
        ("Rewrite it while keeping names; be brief!", "Rewrite it while keeping names",
         "Rewrite it while keeping names", "Rewrite it"),
        ("Make it a haiku (5-7-5), please", "Make it a haiku (5-7-5), please", "Make it a haiku",
         "Make it a haiku (5-7-5)"),
        ("Use version 2.5 of it", "Use version 2.5 of it", "Use version 2.5 of it",
         "Use version 2.5 of it"),
        ("", "", "", ""),
    ],
)  # fmt: skip
def test_shortenings(text, sentence, clause, core):
    assert shortenings(text) == (sentence, clause, core)


def test_an_opening_ends_without_punctuation():
    assert opening("Turn it, now, into: a song", 4) == "Turn it, now, into"
    assert opening("Turn it, now", 2) == "Turn it"


@pytest.mark.parametrize(
    ("parts", "separator", "whole"),
    [
        (["One.", "Two."], ". ", "One. Two."),
        (["One.", "Two."], " ", "One. Two."),
        (["One", "Two", "Three"], ". ", "One. Two. Three"),
        (["", "Two"], " ", "Two"),
        ([". ", "Two"], ". ", "Two"),
        (["One", " "], " ", "One"),
    ],
)
def test_joining(parts, separator, whole):
    assert joined(parts, separator) == whole
