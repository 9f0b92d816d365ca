"""Dictionary words: what is readable, and what only looks so."""

import pytest
from hypothesis import given, strategies as st

from mean_prompt.optimize.dictionary import dictionary, is_readable


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no word"),
        (" ", "holds no word"),
        ("rewrite qzxv", "no word of any dictionary"),
        ("rewrite  this", "two blanks"),
        (" rewrite", "a blank in front"),
        ("rewrite ", "a blank behind"),
        ("rewrite\nthis", "a newline"),
        ("rewrite this\n", "a newline at the end, which $ would pass"),
        ("rewrite\u00a0this", "a blank that does not break"),
        ("rewrite this.", "punctuation"),
        ("don't", "an apostrophe"),
        ("top 10 poems", "digits"),
        ("café", "a letter outside ASCII"),
        ("b c", "letters that are no words"),
        ("rewritethis", "two words glued"),
        ("\u0130", "lower-cases to two characters"),
        ("\u212a", "the Kelvin sign, which lower-cases to k"),
    ],
)
def test_all_else_is_not(text, why):
    assert not is_readable(text), why


def test_dictionary_is_lower_case_ascii_words_without_stray_letters():
    words = dictionary()
    assert 20_000 < len(words) < 82_765
    assert {word for word in words if len(word) == 1} == {"a", "i"}
    assert all(word.isalpha() and word == word.lower() for word in words)
    assert "the" in words  # the list's first line, which a byte-order mark would spoil


def test_dictionary_holds_the_words_of_prompts():
    wanted = {"rewrite", "poem", "formal", "shanty", "haiku", "tone", "summary", "paraphrase"}
    assert wanted - dictionary() == set()


@given(st.lists(st.sampled_from(sorted(dictionary())), min_size=1, max_size=12), st.data())
def test_words_of_the_dictionary_are_readable_in_any_case_and_one_other_spoils_them(words, data):
    assert is_readable(" ".join(words))
    assert is_readable(" ".join(words).upper())
    place = data.draw(st.integers(0, len(words)))
    assert not is_readable(" ".join([*words[:place], "xqzkv", *words[place:]]))
