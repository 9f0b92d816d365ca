"""Recipes: what is written reads back, every fault names its field, the reference is complete."""

import re
import tomllib
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import BaseModel
from typer.main import get_command

from mean_prompt.cli.app import app
from mean_prompt.runs.recipe import Recipe
from mean_prompt.system.data import shipped_folder
from mean_prompt.system.errors import InputError

REFERENCE = Path(__file__).parents[2] / "search" / "README.md"


@pytest.fixture
def load(tmp_path):
    """Return a function that loads a recipe from its text."""

    def load(text):
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return Recipe.load(path)

    return load


# Reading and writing


def test_fields_are_read(load):
    assert load("") == Recipe()
    recipe = load(
        '\ufeff[corpus]\nsources = ["a=b.csv:2"]\nholdout = 0\n[search]\nbudget = "90m"\n'
        "[constraints]\nmax_tokens = 12\n[climb.moves]\nswap = 0.5\n[study]\nkick = [1, 2]\n"
    )
    assert recipe.corpus.sources == ("a=b.csv:2",)
    assert recipe.corpus.holdout == 0
    assert recipe.search.budget == "1h30m"
    assert recipe.constraints.max_tokens == 12
    assert recipe.climb.moves.swap == 0.5
    assert recipe.climb.moves.replace == Recipe().climb.moves.replace
    assert recipe.study.kick == (1, 2)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=40, deadline=None)
@given(TEXT, st.lists(TEXT, max_size=3), st.floats(0, 0.9), st.integers(1, 4096))
def test_what_is_written_reads_back(tmp_path_factory, text, texts, share, number):
    recipe = Recipe().override(
        corpus={"sources": texts, "column": text, "holdout": share},
        constraints={"max_tokens": number, "banned_words": texts, "prefix": text},
        search={"budget": f"{number}s", "max_evaluations": number, "seed": number},
        study={"starts": ["elite"], "width": [number, number]},
    )
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    again = Recipe.load(path)
    assert again == recipe
    assert again.content_hash == recipe.content_hash
    assert again.to_toml() == recipe.to_toml()


def test_written_recipe_spells_the_defaults_out():
    """A run's recipe says what was done, whatever the defaults become later."""
    written = tomllib.loads(Recipe().to_toml())
    for field, (_, default) in model_fields().items():
        value = written
        for part in field.split("."):
            value = value.get(part)
        assert value == (list(default) if isinstance(default, tuple) else default), field


def test_equal_recipes_have_equal_hashes_however_they_are_written(load):
    one = load('[search]\nseed = 1\nbudget = "60m"\n')
    other = load('# the same\n[search]\nbudget = "1h"\nseed = 1\n[corpus]\nholdout = 0.2\n')
    assert one.content_hash == other.content_hash
    assert one.content_hash != load("[search]\nseed = 2\n").content_hash


# Faults


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[serach]\nseed = 1\n", "serach"),
        ("[search]\nsed = 1\n", "search.sed"),
        ("[climb.moves]\nteleport = 1\n", "climb.moves.teleport"),
    ],
)
def test_unknown_field_is_named(load, tmp_path, text, field):
    with pytest.raises(InputError, match="only known fields: ") as caught:
        load(text)
    message = str(caught.value)
    assert f"{tmp_path / 'mine.toml'} has {field!r}; search/README.md lists them all" in message


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[corpus]\nholdout = 0.95", "corpus.holdout .* less than or equal to 0.9, found 0.95"),
        ("[corpus]\nholdout = nan", "corpus.holdout .*, found nan"),
        ('[corpus]\nsources = "a.csv"', "corpus.sources .* valid tuple, found 'a.csv'"),
        ('[model]\ndevice = "tpu"', "model.device .* 'auto', 'cpu', 'cuda' or 'mps', found 'tpu'"),
        ("[constraints]\nmax_tokens = 0", "constraints.max_tokens .* found 0"),
        ("[constraints]\nbanned_words = [1]", "constraints.banned_words.0 .* found 1"),
        ('[search]\nbudget = "abc"', "search.budget .* reads like 90s.*: found 'abc'"),
        ('[search]\nbudget = "0s"', "search.budget .* longer than nothing: found '0s'"),
        ("[search]\nmax_evaluations = 0", "search.max_evaluations .* found 0"),
        ("[search]\nseed = 4294967296", "search.seed .* found 4294967296"),
        ("search = 3", "search in .* found 3"),
        ("[climb]\nhot = inf", "climb.hot .* found inf"),
        ("[climb.moves]\nswap = -1", "climb.moves.swap .* found -1"),
        ("[study]\nstarts = []", "study.starts .* at least 1 item"),
        ("[study]\nwidth = [48, 24]", "study.width .* lowest to its highest.*48, 24"),
        ("[study]\nwidth = [24]", "study.width.1 .* required"),
        ("[study]\nprune = true", "study.prune .* found True"),
    ],
)
def test_wrong_value_names_the_field_the_rule_and_what_was_found(load, text, fault):
    with pytest.raises(InputError, match=fault) as caught:
        load(text)
    assert "\n" not in str(caught.value)
    assert "mine.toml is not valid: " in str(caught.value)


def test_further_faults_are_counted(load):
    with pytest.raises(InputError, match=r"^corpus.holdout .*, found 2 \(and 2 more\)$"):
        load("[corpus]\nholdout = 2\n[search]\nseed = -1\nsed = 3\n")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[search\n", r"a table declaration \(at line 1, column 8\)"),
        ("[search]\nbudget = 2h\n", r"at line 2, column"),
        ("[search]\nseed = 1\nseed = 2\n", "Cannot overwrite a value"),
    ],
)
def test_broken_toml_names_the_line(load, tmp_path, text, fault):
    where = re.escape(str(tmp_path / "mine.toml"))
    with pytest.raises(InputError, match=rf"a recipe must be TOML: {where}: .*{fault}.*; fix"):
        load(text)


@pytest.mark.parametrize("name", ["gone", "quick.toml", "x" * 300, "~nobody-of-that-name/a.toml"])
def test_missing_recipe_lists_the_packaged_ones(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"a file or one of kaggle, quick, readable: found neith"):
        Recipe.load(name)


def test_what_is_no_text_file_is_no_recipe(tmp_path):
    with pytest.raises(InputError, match=rf"must be readable: {tmp_path}: Is a directory"):
        Recipe.load(tmp_path)
    path = tmp_path / "mine.toml"
    path.write_bytes(b"[search]\nbudget = \xff")
    with pytest.raises(InputError, match=r"a recipe must be TOML: .*0xff in position 18"):
        Recipe.load(path)


# What goes before what


def test_options_go_before_the_recipe_and_the_recipe_before_the_defaults(load):
    recipe = load('[search]\nbudget = "2h"\nseed = 3\n[corpus]\nsources = ["a.csv", "b.csv"]\n')
    over = recipe.override(
        search={"budget": "10m", "seed": None}, corpus={"sources": ["c.csv"], "holdout": 0.0}
    )
    assert (over.search.budget, over.search.seed) == ("10m", 3)
    assert (over.corpus.sources, over.corpus.holdout) == (("c.csv",), 0)
    assert over.context == Recipe().context
    assert recipe.search.budget == "2h"
    with pytest.raises(InputError, match=r"^search.seed in the options is not valid: .*found -1"):
        Recipe().override(search={"seed": -1})


# The packaged recipes


def test_reference_lists_the_packaged_recipes_and_no_other():
    [table] = re.findall(r"## Packaged recipes\n\n((?:\|.*\n)+)", REFERENCE.read_text("utf-8"))
    listed = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    assert listed == {path.stem for path in shipped_folder("search").glob("*.toml")}
    for name in listed:
        recipe = Recipe.load(name)
        budget, limits = recipe.search.budget, recipe.constraints
        assert f"| `{name}` | {budget} | {limits.max_tokens} | `{limits.alphabet}` |" in table


def test_file_of_the_working_directory_goes_before_a_packaged_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("quick").mkdir()
    assert Recipe.load("quick").search.budget == "2m"
    Path("quick").rmdir()
    Path("quick").write_text("[search]\nseed = 9\n")
    assert Recipe.load("quick").search.seed == 9


# The reference


def model_fields(model=Recipe, prefix=""):
    """Return every field of the models, as ``section.field`` -> (annotation, default)."""
    fields = {}
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            fields |= model_fields(info.annotation, f"{prefix}{name}.")
        else:
            fields[f"{prefix}{name}"] = (info.annotation, info.default)
    return fields


def reference_rows():
    """Return what the tables of the fields say: ``section.field`` -> (type, default, meaning)."""
    text = REFERENCE.read_text("utf-8").split("\n## Fields\n")[1]
    rows = {}
    for section, body in re.findall(r"^### `\[([\w.]+)\]`: .+\n((?:(?!###).*\n)*)", text, re.M):
        for line in re.findall(r"^\| `.*", body, re.MULTILINE):
            name, kind, default, meaning = (cell.strip() for cell in line.strip("|").split(" | "))
            field = f"{section}.{name.strip('`')}"
            assert field not in rows
            rows[field] = (kind, default, meaning)
    return rows


def literals(annotation):
    """Return the words that a field's type names, however deep they stand in it."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {word for part in get_args(annotation) for word in literals(part)}


def test_reference_has_every_field_and_nothing_else():
    assert list(reference_rows()) == list(model_fields())


def test_reference_has_every_default_and_the_choices():
    rows = reference_rows()
    for field, (annotation, default) in model_fields().items():
        kind, shown, meaning = rows[field]
        if default is None:
            assert shown == "*unset*", field
        else:
            value = tomllib.loads(f"default = {shown.strip('`')}")["default"]
            assert value == (list(default) if isinstance(default, tuple) else default), field
        assert set(re.findall(r"`(\w+)`", kind)) == literals(annotation), field
        assert len(meaning) > 10, field


def test_reference_names_every_option_that_sets_a_field():
    text = REFERENCE.read_text("utf-8")
    table = dict(re.findall(r"^\| `([A-Z-][^`]*)` \| `([\w.]+)` \|$", text, re.MULTILINE))
    assert set(table.values()) <= set(model_fields())
    command = get_command(app).commands["search"]
    options = {option for parameter in command.params for option in parameter.opts}
    settings = {"--recipe", "--out", "--resume", "--quiet", "-q", "corpus"}
    settings |= {"--live", "--live-at", "--workers", "--ray"}
    assert {name for name in table if name.startswith("--")} == options - settings
    assert table["CORPUS ..."] == "corpus.sources"
