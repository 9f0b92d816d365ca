"""What may be an answer, under every rule and with both kinds of tokenizer."""

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydantic import ValidationError

from mean_prompt.encoder.tokens import special_ids, token_strings
from mean_prompt.optimize.constraints import Constraints, Rules
from mean_prompt.optimize.dictionary import dictionary
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


# -- violations ---------------------------------------------------------------------------------


def test_plain_text_may_be_an_answer(ascii_rules):
    for text in ("rewrite the text", "Make it a poem, please!", "a", " the ", "7"):
        assert verdict(ascii_rules, text) is None


def test_blank_text_is_refused(ascii_rules, loose_rules):
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


def test_special_tokens_text_is_refused_even_where_the_tokenizer_does_not_see_it(ascii_rules):
    ids = ascii_rules._encoder.tokenize(["the text"])[0]
    for special in special_texts(ascii_rules._encoder):
        text = f"the text {special.lower()}"
        assert ascii_rules.violation(text, ids) == "holds the text of a special token"


def test_ids_of_special_tokens_are_refused_whatever_the_text(ascii_rules):
    for index in special_ids(ascii_rules._encoder.tokenizer).tolist():
        assert ascii_rules.violation("the", (index,)) == "holds the text of a special token"


@pytest.mark.parametrize("name", ["tiny_t5", "tiny_bert"])
def test_text_that_the_vocabulary_lacks_is_refused(name, request):
    rules = Rules(Constraints(alphabet="unicode"), request.getfixturevalue(name))
    assert verdict(rules, "重写 the text") == "holds the text of a special token"


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
    for text in ("the  text", "the text.", "thetext"):
        assert verdict(words_rules, text) == "leaves the alphabet 'words'"


@pytest.mark.parametrize("word", ["text", "TEXT"])
def test_banned_words_are_refused_in_any_case_but_not_inside_others(encoder, word):
    rules = Rules(Constraints(banned_words=("poem", word)), encoder)
    for text in ("the text", "Text", "a TEXT!", "my-text", "the text's"):
        assert verdict(rules, text) == "holds a banned word"
    for text in ("texts", "context", "the story"):
        assert verdict(rules, text) is None


def test_banned_words_are_words_and_not_patterns(encoder):
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


def test_an_unknown_banned_token_is_named(encoder):
    with pytest.raises(InputError, match=r"must be in the model's vocabulary: found 'Ġthe'$"):
        Rules(Constraints(banned_tokens=("Ġthe",)), encoder)


# -- prefix and suffix --------------------------------------------------------------------------


@pytest.mark.parametrize(("prefix", "suffix"), [("Rewrite:", "please."), ("Rewrite: ", " please.")])
def test_prefix_and_suffix_go_around_with_single_blanks(encoder, prefix, suffix):
    rules = Rules(Constraints(prefix=prefix, suffix=suffix), encoder)
    assert rules.compose("the text") == "Rewrite: the text please."
    assert verdict(rules, rules.compose("the text")) is None
    for bare in ("the text", "Rewrite: the text", "the text please.", "rewrite: the text please."):
        assert verdict(rules, bare) == "lacks the required prefix or suffix"


def test_nothing_goes_around_without_them(ascii_rules):
    assert ascii_rules.compose(" the text") == " the text"
    assert ascii_rules.frame_tokens == (0, 0)


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
        ("caf\u00e9", {}, "(leaves the alphabet 'ascii'|holds the text of a special token)"),
        ("the text", {"banned_words": ("text",)}, "holds a banned word"),
        ("hello </s> [SEP]", {}, "holds the text of a special token"),
    ],
)
def test_prefix_and_suffix_must_obey_the_other_constraints(encoder, part, text, others, reason):
    with pytest.raises(
        InputError, match=rf"the {part} must obey the other constraints: .*{reason}$"
    ):
        Rules(Constraints(**{part: text}, **others), encoder)


# -- limits -------------------------------------------------------------------------------------


def test_the_limit_may_not_pass_what_the_model_reads(encoder):
    over = encoder.max_tokens + 1
    Rules(Constraints(max_tokens=over - 1), encoder)
    with pytest.raises(InputError, match=rf"reads {over - 1} tokens, found {over}$"):
        Rules(Constraints(max_tokens=over), encoder)


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_tokens", 0), ("max_tokens", "many"), ("alphabet", "latin"), ("banned", ("a",))],
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


# -- the tokens a search may insert -------------------------------------------------------------


def test_allowed_tokens_are_ascending_and_never_special(encoder, ascii_rules, loose_rules):
    for rules in (ascii_rules, loose_rules):
        assert (np.diff(rules.allowed) > 0).all()
        assert not set(rules.allowed.tolist()) & set(special_ids(encoder.tokenizer).tolist())


def test_allowed_tokens_are_in_the_alphabet(ascii_rules, words_rules, loose_rules):
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


def test_tokens_of_banned_words_are_not_offered(encoder, ascii_rules):
    rules = Rules(Constraints(banned_words=("text", "poem")), encoder)
    lost = {ascii_rules.surfaces[i].lower() for i in set(ascii_rules.allowed) - set(rules.allowed)}
    assert lost == {"text", "poem"}


def test_strings_of_allowed_words_are_answers(words_rules):
    rng = np.random.default_rng(0)
    for _ in range(50):
        picked = rng.choice(words_rules.allowed, 6)
        text = " ".join(words_rules.surfaces[token] for token in picked)
        assert verdict(words_rules, text) is None, text


# -- any text at all ----------------------------------------------------------------------------

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
