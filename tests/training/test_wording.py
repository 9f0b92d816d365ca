"""Openers and heads: learned from several prompts in any language, and never all of a text."""

import json

import pytest
from hypothesis import example, given, strategies as st

from mean_prompt.corpus.triples import Rows, Triples
from mean_prompt.training.wording import MOST_HEADS, Beginnings, Wording, first_line, last_line

FRENCH = Triples(
    Rows(
        ("a", "b", "c", "d"),
        ("Le chat dort.",) * 4,
        (
            "Voici le texte réécrit comme une recette : prenez un chat.",
            "**Voici le texte réécrit comme des excuses :**\n\nPardon, je dors.",
            "« Voici le texte réécrit comme un poème »\nLe chat, las, las.",
            "Le chat dort, tout simplement.",
        ),
    ),
    (
        "Réécris ce texte comme une recette",
        "Réécris ce texte comme des excuses",
        "réécris ce texte comme un poème",
        "Plus simple, stp",
    ),
)
SPANISH = Triples(
    Rows(
        ("a", "b", "c"),
        ("El gato duerme.",) * 3,
        (
            "¡Claro! Aquí tienes el texto como una receta:\nTome un gato.",
            "¡Claro! Aquí tienes el texto como disculpas:\nPerdón.",
            "¡Claro! Aquí tienes el texto como poema:\nEl gato, ay.",
        ),
    ),
    ("Convierte el texto en una receta", "Convierte el texto en disculpas",
     "Convierte el texto en poema"),
)  # fmt: skip

#: Few words, so that beginnings recur; some are punctuation alone, as before a French colon.
WORDS = ("Voici", "voici", ":", "—", "le", "texte,", "d\u2019un", "d'un", "ÇA", "çà", "x_1", "日本")
worded = st.lists(st.sampled_from(WORDS), max_size=15).map(" ".join)
text = worded | st.text(max_size=30) | st.builds("{} {}".format, worded, st.text(max_size=8))
texts = st.lists(text, max_size=8)


def beginnings(*texts, groups=None, known=()):
    return Beginnings(texts, range(len(texts)) if groups is None else groups, known)


class TestBeginnings:
    @given(texts, text)
    @example([": a", ": b", ": c"], ":")
    @example([], " \t\n ")
    def test_head_and_rest_are_the_text_and_a_word_is_left(self, known, text):
        found = beginnings(*known, known=["voici le", "d'un"])
        words = text.split()
        assert found.head(text).split() + found.rest(text).split() == words
        assert bool(found.rest(text)) == bool(words)
        assert found.length(text) == len(found.head(text).split()) <= 12

    @given(texts, texts)
    @example(["Voici : le texte", "Voici : le mot", "Voici : le chat"], ["Voici : le tout"])
    @example(["— le texte", "— le mot", "— le chat"], ["— le tout"])
    def test_the_state_has_the_same_lengths(self, known, texts):
        # Twice each, so that two texts with the same beginning are enough.
        found = beginnings(*known, *known)
        again = Beginnings.of_state(json.loads(json.dumps(found.state())))
        assert again.state() == found.state()
        for one in (*known, *texts):
            assert again.length(one) == found.length(one)

    def test_a_beginning_is_common_from_three_groups_on(self):
        openings = ("Here you go a", "Here you go b", "Here you go c")
        assert beginnings(*openings).rest("Here you go now") == "now"
        assert beginnings(*openings[:2]).length("Here you go now") == 0
        assert beginnings(*openings, groups=(0, 1, 1)).length("Here you go now") == 0

    def test_case_and_punctuation_do_not_matter(self):
        found = beginnings(known=["sure here's"])
        assert found.rest("SURE! Here\u2019s: the poem") == "the poem"
        assert found.length("Surely here's the poem") == 0

    def test_heads_are_ranked_by_how_many_groups_have_them(self):
        said = ["Make it a", "Make it b", "Make it c", "Turn to a", "Turn to b", "Turn to c",
                "Turn to d", "Turn to d"]  # fmt: skip
        found = beginnings(*said)
        assert found.heads(said, range(len(said)), 5) == ["Turn to", "Make it"]
        assert found.heads(said, range(len(said)), 1) == ["Turn to"]
        # Rows of one prompt count once.
        assert found.heads(said, [0, 1, 2, 3, 3, 3, 3, 3], 5) == ["Make it", "Turn to"]


class TestWording:
    @pytest.mark.parametrize(
        ("triples", "line", "subject", "head"),
        [
            (FRENCH, "Voici le texte réécrit comme une chanson :", "une chanson :",
             "Réécris ce texte comme"),
            (SPANISH, "¡Claro! Aquí tienes el texto como canción:", "canción:",
             "Convierte el texto en"),
        ],
        ids=["French", "Spanish"],
    )  # fmt: skip
    def test_openers_and_heads_are_learned_in_any_language(self, triples, line, subject, head):
        wording = Wording.of(triples)
        assert wording.openers.rest(line) == subject
        assert wording.heads[0] == head
        assert "Rewrite this as" in wording.heads  # known beforehand, and after those learned

    def test_english_openers_need_no_rows(self):
        wording = Wording.of(FRENCH)
        assert wording.openers.rest("Sure! Here's a poem") == "a poem"
        assert wording.openers.length("The cat sleeps") == 0

    def test_predictions_lose_learned_beginnings_and_known_heads(self):
        said = [("Transforme en recette",), ("Transforme en excuses",), (), ("Transforme en ode",)]
        wording = Wording.of(FRENCH, said)
        assert wording.predicted.rest("Transforme en chanson") == "chanson"
        assert wording.predicted.rest("Réécris ce texte comme chanson") == "chanson"
        assert Wording.of(FRENCH).predicted.length("Transforme en chanson") == 0

    def test_heads_are_not_too_many(self):
        verbs = [f"verb{number}" for number in range(2 * MOST_HEADS)]
        prompts = tuple(f"{verb} it x{n}" for verb in verbs for n in range(3))
        blank = ("",) * len(prompts)
        rows = Rows(tuple(map(str, range(len(prompts)))), blank, blank)
        learned = [head for head in Wording.of(Triples(rows, prompts)).heads if "verb" in head]
        assert len(learned) == MOST_HEADS

    def test_the_state_is_json_and_the_same_wording(self):
        wording = Wording.of(FRENCH, [(prompt,) for prompt in FRENCH.prompts])
        again = Wording.of_state(json.loads(json.dumps(wording.state())))
        assert again.heads == wording.heads
        for line in (*FRENCH.rows.rewritten, *FRENCH.prompts, "Voici le texte réécrit comme : x"):
            assert again.openers.length(line) == wording.openers.length(line)
            assert again.predicted.length(line) == wording.predicted.length(line)


class TestLines:
    @pytest.mark.parametrize(
        ("text", "first", "last"),
        [
            ("\n \n## **A title**\n\n- an item\n***\n", "A title", "an item"),
            ("“One line.”", "One line.", "One line."),
            ("\n***\n", "", ""),
            ("", "", ""),
        ],
    )
    def test_marks_and_blank_lines_are_left_out(self, text, first, last):
        assert (first_line(text), last_line(text)) == (first, last)

    def test_long_lines_are_cut(self):
        assert first_line("ab " * 1_000) == last_line("ab " * 1_000) == ("ab " * 67)[:200].strip()
