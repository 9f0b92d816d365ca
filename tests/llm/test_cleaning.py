"""Cleaning of LLM answers: each rule by itself, and what holds for any text."""

import pytest
from hypothesis import given, strategies as st

from mean_prompt.llm.cleaning import Cleaned, clean

TARGET = "Rewrite the text as a sea shanty"


@pytest.mark.parametrize(
    ("raw", "rules"),
    [
        (TARGET, ()),
        (f'"{TARGET}"', ("quotes",)),
        (f"\u201c{TARGET}\u201d", ("quotes",)),
        (f'"{TARGET}".', ("quotes",)),
        (f'"{TARGET}', ("quotes",)),
        (f"Sure, here is the prompt: {TARGET}", ("opener",)),
        (f"Here are the instructions:\n\n{TARGET}", ("several lines",)),
        (f"The most likely prompt was: {TARGET}", ("label",)),
        (f"**Prompt:** {TARGET}", ("markdown", "label")),
        (f"## {TARGET}", ("markdown",)),
        (f"1. {TARGET}\n2. Another", ("several lines", "list marker")),
        (f"I. {TARGET}", ("list marker",)),
        (f"): {TARGET}", ("stray punctuation",)),
        (f"{TARGET}\n\n---\n\nOnce, on a ship ...", ("several lines",)),
        (f"```text\n{TARGET}\n```", ("several lines",)),
        ("Rewrite  the text\tas a sea shanty", ("spaces",)),
        (f"<think>\nA ship. Sailors.\n</think>\n{TARGET}", ("thinking",)),
        (f"{TARGET}<|im_end|>\nuser and so on", ("control tokens", "several lines")),
        ("Rewrite the te\x00xt as a sea shanty\ud800", ("not text",)),
        (f'Sure! Here is the prompt:\n\n**Prompt:** "{TARGET}"', None),
    ],
)
def test_each_rule_leaves_the_prompt(raw, rules):
    cleaned = clean(raw)
    assert cleaned.text == TARGET
    if rules is not None:
        assert cleaned.rules == rules


@pytest.mark.parametrize(
    "text",
    [
        '"Alpha" and "Omega"',
        "'Tis the season' and 'so on'",
        'Rewrite it with the words "sea" and "salt"',
        "Translate this to C++",
        "Ok Computer as a ballad",
        "Explain what __init__ does",
        "Make it rhyme: every line must end in -ing",
        "Answer this email politely",
        "把这段文字改写成诗",
    ],
)
def test_a_clean_prompt_stays_as_it_is(text):
    assert clean(text) == Cleaned(text, ())


@pytest.mark.parametrize(
    "raw",
    ["", "  \n ", '""', "---", "I.", "Prompt:", "Sure, here is the prompt:", "<|im_end|>", "\ufeff",
     "**", "<think>still thinking"],
)  # fmt: skip
def test_nothing_left_is_empty(raw):
    cleaned = clean(raw)
    assert cleaned.text == ""
    assert cleaned.rules[-1] == "empty"


def test_an_over_long_prompt_ends_at_a_sentence():
    first = "Rewrite the text as the log of a ship's cook who has seen too much weather. "
    cleaned = clean(first * 20)
    assert cleaned.text == (first * 5).strip()
    assert cleaned.rules == ("over-long",)


def test_an_over_long_sentence_ends_at_a_word_and_a_word_anywhere():
    assert clean("salt " * 50, max_chars=22).text == "salt salt salt salt"
    assert clean("a" * 50, max_chars=22).text == "a" * 22
    assert clean("a" * 50_000).rules == ("over-long",)


#: Texts made of the very things that the rules look for, which chance alone seldom writes.
PIECES = st.sampled_from(
    ['"', "'", "`", "\u201c", "\u201d", "\u2019", "**", "_", "# ", "> ", "- ", "1. ", "I. ", "\n",
     "\r", "\u2028", " ", "\t", "Sure, ", "Here is it: ", "Prompt: ", "the answer was:", ":", "[",
     "]", ")", "...", "```", "<|", "|>", "<|end|>", "</s>", "<think>", "</think>", "Rewrite", "a"]
)  # fmt: skip
DIRT = st.one_of(st.text(), st.lists(PIECES, max_size=25).map("".join))


@given(DIRT, st.integers(1, 60))
def test_any_text_becomes_one_clean_line(raw, max_chars):
    cleaned = clean(raw, max_chars=max_chars)
    assert cleaned.text == cleaned.text.strip()
    assert len(cleaned.text.splitlines()) <= 1
    assert len(cleaned.text) <= max_chars
    assert cleaned.text == "" or any(character.isalnum() for character in cleaned.text)
    cleaned.text.encode()
    assert clean(cleaned.text, max_chars=max_chars).text == cleaned.text
    assert len(set(cleaned.rules)) == len(cleaned.rules)
    assert bool(cleaned.rules) == (cleaned.text != raw.strip() or cleaned.text == "")
