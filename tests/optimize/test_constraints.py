"""What may be an answer, under every rule and with both kinds of tokenizer."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydantic import ValidationError

from mean_prompt.encoder.tokens import special_ids, token_strings
from mean_prompt.optimize.constraints import Constraints, Rules, dictionary, is_readable
from mean_prompt.system.errors import InputError
from tests.tiny_models import WORDS


@pytest.fixture(scope="module", params=["tiny_t5", "tiny_bert"])
def encoder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def words_rules(encoder):
    return Rules(Constraints(alphabet="words"), encoder)


@pytest.fixture(scope="module")
def loose_rules(encoder):
    return Rules(Constraints(alphabet="unicode"), encoder)


@pytest.fixture(scope="module")
def ascii_rules(encoder):
    return Rules(Constraints(), encoder)


@pytest.fixture(scope="module")
def minilm_rules(minilm):
    return Rules(Constraints(), minilm)


def verdict(rules, text):
    [ids] = rules._encoder.tokenize([text])
    return rules.violation(text, ids)


def test_plain_text_may_be_an_answer_and_blank_text_may_not(ascii_rules, loose_rules):
    for text in ("rewrite the text", "Make it a poem, please!", "a", " the ", "7"):
        assert verdict(ascii_rules, text) is None
    for text in ("", " ", "\n\t", "\u3000"):
        assert verdict(ascii_rules, text) == verdict(loose_rules, text) == "is blank"


def test_the_token_limit_is_hard(encoder):
    rules = Rules(Constraints(max_tokens=5), encoder)
    assert verdict(rules, "the text in a story") is None
    assert verdict(rules, "the text in a story of") == "has 6 tokens, over 5"
    assert verdict(rules, "the " * 5_000) == "has 5000 tokens, over 5"


def special_texts(encoder):
    strings = token_strings(encoder.tokenizer)
    return [strings[index] for index in special_ids(encoder.tokenizer)]


@pytest.mark.parametrize("alphabet", ["ascii", "unicode"])
def test_special_tokens_text_is_refused_in_any_case(encoder, alphabet):
    rules = Rules(Constraints(alphabet=alphabet), encoder)
    for special in special_texts(encoder):
        for spelling in (special, special.lower(), special.upper(), special.title()):
            for text in (spelling, f"rewrite {spelling}", f"the{spelling}text"):
                assert verdict(rules, text) == "holds the text of a special token", text


def test_special_tokens_are_refused_by_their_text_alone_and_by_their_ids_alone(ascii_rules):
    refused = "holds the text of a special token"
    ids = ascii_rules._encoder.tokenize(["the text"])[0]
    for special in special_texts(ascii_rules._encoder):
        assert ascii_rules.violation(f"the text {special.lower()}", ids) == refused
    for index in special_ids(ascii_rules._encoder.tokenizer).tolist():
        assert ascii_rules.violation("the", (index,)) == refused


def test_text_that_the_vocabulary_lacks_is_refused(loose_rules):
    assert verdict(loose_rules, "重写 the text") == "holds the text of a special token"


def test_ascii_is_every_printable_character_of_it(minilm_rules):
    assert verdict(minilm_rules, "".join(map(chr, range(32, 95)))) is None
    assert verdict(minilm_rules, "".join(map(chr, range(95, 127)))) is None
    for text in ("a\nb", "the\ttext", "caf\u00e9", "the \u201ctext\u201d", "a\x7fb"):
        assert verdict(minilm_rules, text) == "leaves the alphabet 'ascii'"


def test_unicode_is_any_printable_text(minilm):
    rules = Rules(Constraints(alphabet="unicode"), minilm)
    for text in ("caf\u00e9 text", "\u201ctext\u201d"):
        assert verdict(rules, text) is None
    for text in ("a\nb", "a\u200bb"):
        assert verdict(rules, text) == "leaves the alphabet 'unicode'"


def test_words_are_those_of_the_dictionary_in_any_case(words_rules):
    for text in ("rewrite the text", "Rewrite THE Text", "a", "I"):
        assert verdict(words_rules, text) is None
    assert verdict(words_rules, "the text.") == "leaves the alphabet 'words'"


def test_banned_words_are_refused_in_any_case_but_not_inside_others(encoder, ascii_rules):
    rules = Rules(Constraints(banned_words=("poem", "tExt")), encoder)
    lost = {ascii_rules.surfaces[i].lower() for i in set(ascii_rules.allowed) - set(rules.allowed)}
    assert lost == {"text", "poem"}
    for text in ("the text", "Text", "a TEXT!", "my-text", "the text's"):
        assert verdict(rules, text) == "holds a banned word"
    for text in ("texts", "context", "the story"):
        assert verdict(rules, text) is None
    # They are words and not patterns.
    rules = Rules(Constraints(banned_words=("t.xt", "a b")), encoder)
    assert verdict(rules, "the text") is None
    assert verdict(rules, "the t.xt") == "holds a banned word"
    assert verdict(rules, "an a b c") == "holds a banned word"


def test_a_banned_token_is_refused(encoder):
    [ids] = encoder.tokenize(["text"])
    entry = token_strings(encoder.tokenizer)[ids[0]]
    rules = Rules(Constraints(banned_tokens=(entry,)), encoder)
    assert verdict(rules, "the text") == "holds a banned token"
    assert verdict(rules, "the story") is None
    assert ids[0] not in rules.allowed
    with pytest.raises(InputError, match=r"must be in the model's vocabulary: found 'Ġthe'$"):
        Rules(Constraints(banned_tokens=("Ġthe",)), encoder)


@pytest.mark.parametrize(("prefix", "suffix"), [("Rewrite:", "please."), ("Rewrite: ", " please.")])
def test_prefix_and_suffix_go_around_with_single_blanks(encoder, prefix, suffix):
    rules = Rules(Constraints(prefix=prefix, suffix=suffix), encoder)
    assert rules.compose("the text") == "Rewrite: the text please."
    assert verdict(rules, rules.compose("the text")) is None
    for bare in ("the text", "Rewrite: the text", "the text please.", "rewrite: the text please."):
        assert verdict(rules, bare) == "lacks the required prefix or suffix"


def test_prefix_and_suffix_must_leave_room(encoder):
    around = {"prefix": "the story", "suffix": "in a poem"}
    with pytest.raises(InputError, match="at least one token: they take 5 of max_tokens 5"):
        Rules(Constraints(max_tokens=5, **around), encoder)
    rules = Rules(Constraints(max_tokens=6, **around), encoder)
    assert rules.frame_tokens == (2, 3)
    assert verdict(rules, rules.compose("of")) is None


@pytest.mark.parametrize("part", ["prefix", "suffix"])
@pytest.mark.parametrize(
    ("text", "others", "reason"),
    [
        ("Rewrite:", {"alphabet": "words"}, "leaves the alphabet 'words'"),
        ("the text", {"banned_words": ("text",)}, "holds a banned word"),
        ("hello </s> [SEP]", {}, "holds the text of a special token"),
    ],
)
def test_prefix_and_suffix_must_obey_the_other_constraints(encoder, part, text, others, reason):
    with pytest.raises(
        InputError, match=rf"the {part} must obey the other constraints: .*{reason}$"
    ):
        Rules(Constraints(**{part: text}, **others), encoder)


def test_the_limit_may_not_pass_what_the_model_reads(encoder):
    over = encoder.max_tokens + 1
    Rules(Constraints(max_tokens=over - 1), encoder)
    with pytest.raises(InputError, match=rf"reads {over - 1} tokens, found {over}$"):
        Rules(Constraints(max_tokens=over), encoder)


@pytest.mark.parametrize(
    ("field", "value"), [("max_tokens", 0), ("alphabet", "latin"), ("banned", ("a",))]
)
def test_constraints_are_validated(field, value):
    with pytest.raises(ValidationError, match=field):
        Constraints(**{field: value})


def test_constraints_that_allow_nothing_are_refused(tiny_t5):
    banned = tuple(
        set(WORDS) | {word.lower() for word in WORDS} | set("abcdefghijklmnopqrstuvwxyz")
    )
    with pytest.raises(InputError, match=r"must allow some tokens: none of \d+ is left"):
        Rules(Constraints(alphabet="words", banned_words=banned), tiny_t5)


def test_allowed_tokens_are_in_the_alphabet_and_never_special(
    encoder, ascii_rules, words_rules, loose_rules
):
    for rules in (ascii_rules, loose_rules):
        assert (np.diff(rules.allowed) > 0).all()
        assert not set(rules.allowed.tolist()) & set(special_ids(encoder.tokenizer).tolist())
    surfaces = [ascii_rules.surfaces[token] for token in ascii_rules.allowed]
    assert all(re.fullmatch("[ -~]+", surface) for surface in surfaces)
    words = [words_rules.surfaces[token] for token in words_rules.allowed]
    assert {word.lower() for word in words} <= dictionary()
    assert {"text", "poem", "story", "a"} <= set(words)
    assert set(words_rules.allowed) < set(ascii_rules.allowed)
    assert set(ascii_rules.allowed) <= set(loose_rules.allowed)


def test_tokens_that_start_a_word_are_spelled_back(encoder, ascii_rules):
    starts = [token for token in ascii_rules.allowed.tolist() if ascii_rules.starts_word[token]]
    assert len(starts) > 200
    spelled = encoder.tokenize([ascii_rules.surfaces[token] for token in starts])
    assert spelled == [(token,) for token in starts]


def test_surfaces_show_the_text_and_whether_it_starts_a_word(tiny_t5, tiny_bert):
    for encoder, start, onward in ((tiny_t5, "▁text", "ing"), (tiny_bert, "text", "##ing")):
        rules = Rules(Constraints(), encoder)
        index = {entry: i for i, entry in enumerate(token_strings(encoder.tokenizer))}
        assert (rules.surfaces[index[start]], rules.starts_word[index[start]]) == ("text", True)
        assert (rules.surfaces[index[onward]], rules.starts_word[index[onward]]) == ("ing", False)


def test_unused_slots_are_not_allowed(minilm, minilm_rules):
    strings = token_strings(minilm.tokenizer)
    assert any(entry.startswith("[unused") for entry in strings)
    assert not any(strings[token].startswith("[unused") for token in minilm_rules.allowed)


any_text = st.text(max_size=30) | st.lists(
    st.sampled_from([*WORDS[:60], "xq", "The", " ", "\n", ".", "</s>"]), max_size=8
).map(" ".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(any_text)
def test_what_any_alphabet_accepts_holds_to_the_rules(ascii_rules, loose_rules, text):
    for rules in (ascii_rules, loose_rules):
        if verdict(rules, text) is None:
            assert text.strip()
            assert text.isprintable()
            assert len(rules._encoder.tokenize([text])[0]) <= 64
            assert not any(
                special.lower() in text.lower() for special in special_texts(rules._encoder)
            )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" ", "holds no word"),
        ("rewrite  this", "two blanks"),
        ("rewrite this\n", "a newline at the end, which $ would pass"),
        ("rewrite\u00a0this", "a blank that does not break"),
        ("don't", "an apostrophe"),
        ("café", "a letter outside ASCII"),
        ("b c", "letters that are no words"),
        ("\u212a", "the Kelvin sign, which lower-cases to k"),
    ],
)
def test_all_but_words_is_not_readable(text, why):
    assert not is_readable(text), why


def test_dictionary_is_lower_case_ascii_words_without_stray_letters():
    words = dictionary()
    assert 20_000 < len(words) < 82_765
    assert {word for word in words if len(word) == 1} == {"a", "i"}
    assert all(word.isalpha() and word == word.lower() for word in words)
    # "the" is the list's first line, which a byte-order mark would spoil.
    assert {"the", "rewrite", "poem", "shanty", "haiku", "tone", "paraphrase"} <= words


@given(st.lists(st.sampled_from(sorted(dictionary())), min_size=1, max_size=12), st.data())
def test_words_of_the_dictionary_are_readable_in_any_case_and_one_other_spoils_them(words, data):
    assert is_readable(" ".join(words))
    assert is_readable(" ".join(words).upper())
    place = data.draw(st.integers(0, len(words)))
    assert not is_readable(" ".join([*words[:place], "xqzkv", *words[place:]]))
