"""The grammar gives the committed prompts, sound English, and clear refusals."""

import json
import re
from pathlib import Path

import pytest

from benchmarks import grammar

CORPORA = Path(__file__).parents[2] / "corpora"


@pytest.fixture(scope="module")
def rows():
    return grammar.generate(2400, seed=0)


@pytest.fixture(scope="module")
def prompts(rows) -> list[str]:
    return [row["prompt"] for row in rows]


def written(folder, templates, slots=""):
    path = folder / "grammar.toml"
    path.write_text(
        f'[slots]\n{slots}\n[[family]]\nname = "only"\nweight = 1\ntemplates = {templates}\n',
        encoding="utf-8",
    )
    return path


def words(prompt):
    """Return the prompt as lower-case words, without its end."""
    return prompt.lower().rstrip(".")


def test_committed_corpus_is_what_the_grammar_gives(rows):
    assert (CORPORA / "grammar.jsonl").read_bytes() == grammar.to_jsonl(rows).encode()


def test_seed_decides_the_prompts():
    assert grammar.generate(50, seed=3) == grammar.generate(50, seed=3)
    assert grammar.generate(50, seed=3) != grammar.generate(50, seed=4)


def test_prompts_differ_are_of_every_family_and_terse_to_long(rows, prompts):
    assert len({" ".join(re.findall(r"\w+", prompt.lower())) for prompt in prompts}) == 2400
    assert {row["family"] for row in rows} == set(grammar.load(grammar.DEFAULT_GRAMMAR).templates)
    lengths = [len(prompt.split()) for prompt in prompts]
    assert min(lengths) == 3
    assert 45 <= max(lengths) <= 60


def test_surface_is_clean(prompts):
    for prompt in prompts:
        lower = prompt.lower()
        assert not re.search(r"[{}]|  |\s$|^\s|\n|\.\.|[?!]\.| [,.;:?!]", prompt), prompt
        assert not re.search(r"\b(\w+) \1\b", lower), prompt
        assert not re.search(r"\ba (?!eu|one-)[aeio]", lower), prompt
        assert not re.search(r"\ban [b-df-gj-np-tv-z]", lower.replace("an faq", "")), prompt


def test_some_prompts_lack_capitals_or_a_full_stop(prompts):
    lower = [prompt for prompt in prompts if prompt[0].islower()]
    assert 0.02 < len(lower) / len(prompts) < 0.1
    assert all(prompt == prompt.lower() for prompt in lower)
    bare = [prompt for prompt in prompts if prompt[-1] not in ".?!"]
    assert 0.1 < len(bare) / len(prompts) < 0.5


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("ode", "an ode"),
        ("haiku", "a haiku"),
        ("urban legend", "an urban legend"),
        ("user manual", "a user manual"),
        ("universal truth", "a universal truth"),
        ("unimpressed cat", "an unimpressed cat"),
        ("one-act play", "a one-act play"),
        ("eulogy", "a eulogy"),
        ("honest review", "an honest review"),
        ("18th-century novel", "an 18th-century novel"),
        ("180-word note", "a 180-word note"),
        ("1920s diner", "a 1920s diner"),
        ("FAQ page", "an faq page"),
    ],
)
def test_article_follows_the_sound_of_the_next_word(tmp_path, noun, expected):
    path = written(tmp_path, '["as a {noun}"]', f"noun = {json.dumps([noun])}")
    [row] = grammar.generate(1, path=path)
    assert words(row["prompt"]) == f"as {expected}"


def test_sentences_are_capitalised(tmp_path):
    path = written(tmp_path, '["{reason}. now fix it"]', 'reason = ["it drags", "it drones"]')
    given = {row["prompt"] for row in grammar.generate(2, path=path, seed=1)}
    assert given == {"It drags. Now fix it.", "It drones. Now fix it."}


@pytest.mark.parametrize(
    ("template", "slots", "expected"),
    [
        ("see that {goal}", 'goal = ["it is {tone}"]\ntone = ["calm"]', {"see that it is calm"}),
        ("{tone} to {tone}", 'tone = ["shy", "sly"]', {"shy to sly", "sly to shy"}),
        ("a gloomy {form}", 'form = ["gloomy poem", "poem"]', {"a gloomy poem"}),
    ],
    ids=["nested", "no option twice", "no echo"],
)
def test_slots_are_filled(tmp_path, template, slots, expected):
    path = written(tmp_path, f'["{template}"]', slots)
    given = {words(row["prompt"]) for row in grammar.generate(len(expected), path=path)}
    assert given == expected


@pytest.mark.parametrize(
    ("slots", "templates", "fault"),
    [
        ('genre = ["poem"]', '["as a {gnere}"]', r"'only' names unknown slot 'gnere'; define it"),
        ('genre = ["{mood} poem"]', '["as a {genre}"]', r"'genre' names unknown slot 'mood'"),
        ('genre = ["poem", "song"]', '["as a {genre}"]', r"asked for 3, found 2 .*; ask for fewer"),
        ('egg = ["egg of {hen}"]\nhen = ["hen of {egg}"]', '["{egg}"]', "found 0 distinct prompts"),
        ("genre = []", '["as a {genre}"]', r"'genre' is; fill it"),
    ],
)
def test_a_faulty_grammar_is_refused(tmp_path, slots, templates, fault):
    with pytest.raises(ValueError, match=fault):
        grammar.generate(3, path=written(tmp_path, templates, slots))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [("weight = 1", "weight = 0", "weights above 0"),
     ("[[family]]", "[[clan]]", r"'family' is missing; add it")],
)  # fmt: skip
def test_tables_must_be_there_with_weights(tmp_path, old, new, fault):
    path = written(tmp_path, '["make it shorter"]')
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=fault):
        grammar.generate(1, path=path)
