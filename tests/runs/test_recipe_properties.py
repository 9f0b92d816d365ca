"""Recipes from strangers: whatever a file holds ends in a recipe or in one line."""

import datetime as dt
import math
import os

import pytest
import tomli_w
from hypothesis import example, given, settings, strategies as st
from pydantic import BaseModel

from mean_prompt.runs.recipe import Recipe
from mean_prompt.system.data import shipped_folder
from mean_prompt.system.errors import InputError

SHIPPED = [file.read_bytes() for file in sorted(shipped_folder("search").glob("*.toml"))]
WHOLE = Recipe().to_toml().encode()
QUICKLY = settings(max_examples=100, deadline=None)


def read(content, folder):
    path = folder / "given.toml"
    path.write_bytes(content)
    return lambda: Recipe.load(path)


def assert_recipe_or_one_line(make, folder):
    try:
        recipe = make()
    except InputError as error:
        told = str(error)
    else:
        assert_usable(recipe, folder)
        return
    assert told.strip()
    assert len(told.splitlines()) == 1
    assert len(told) < 1_000


def assert_usable(recipe, folder):
    """A recipe that was taken can be written, named and read again."""
    assert len(recipe.content_hash) == 64
    path = folder / "again.toml"
    path.write_text(recipe.to_toml(), "utf-8", newline="\n")
    assert Recipe.load(path) == recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recipes")


# -- bytes --------------------------------------------------------------------------------------


@st.composite
def spoilt(draw):
    """A good recipe with parts taken out, put in or put elsewhere."""
    content = draw(st.sampled_from([*SHIPPED, WHOLE]))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 40)))
        piece = draw(
            st.binary(max_size=6)
            | st.sampled_from(
                [b"=", b"[", b"]]", b'"', b"\n", b"nan", b"inf", b"9" * 30, b"-", b"."]
            )
            | st.just(content[end : end + 60])
        )
        content = content[:start] + piece + content[end:]
    return content


@QUICKLY
@given(spoilt() | st.binary() | st.text().map(str.encode))
@example(b"a = " + b"[" * 50_000)
@example(b"a = " + b"{a=" * 50_000)
@example(b"corpus.column." + b"a." * 3_000 + b"b = 1")
@example(b"search.seed = " + b"1" * 5_000)
@example(b"search.max_evaluations = 9223372036854775808")
@example(b"affix.caution = 1e999")
@example(b'search.budget = "999999h999999m9999999s"')
@example(b'corpus.column = ["' + b"x" * 5_000 + b'"]')
@example(b'climb.vocabulary = "9223372036854775808"')
@example(b'"a\\nb" = 1')
@example(b"\xff\xfe[\x00")
@example(b"#" * (2**20 + 1))
def test_any_file_is_a_recipe_or_one_line(folder, content):
    assert_recipe_or_one_line(read(content, folder), folder)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no endless file here")  # noqa: PTH110
def test_a_file_that_never_ends_is_read_no_further_than_the_limit():
    with pytest.raises(InputError, match=r"at most 1,048,576 bytes: /dev/zero has more"):
        Recipe.load("/dev/zero")


# -- structures ---------------------------------------------------------------------------------


def fields(model=Recipe, prefix=()):
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from fields(info.annotation, (*prefix, name))
        else:
            yield (*prefix, name)


FIELDS = list(fields())
#: Values that some field takes, and their neighbours that none does.
NUMBERS = [0, 1, -1, 2**32, 2**63, 10**400, 0.0, 0.5, 1.0, -0.0, 1e308, 5e-324, math.inf, math.nan]
TEXTS = ["", "auto", "words", "2m", "999999h", "0s", "x" * 3_000, "\0", "\udcff", "a\nb"]
LISTS = [[], [1, 2], [2, 1], [0.1, 0.2], [math.nan, 1.0], ["corpus"], [[]]]
OTHERS = [True, {}, {"a": {"b": []}}, dt.date(2024, 2, 20), dt.time(1, 2)]
LIKELY = st.sampled_from([*NUMBERS, *TEXTS, *LISTS, *OTHERS])
ANY = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def structures(draw):
    """Values for some known fields, and now and then for unknown ones."""
    data = {}
    names = draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=4, unique=True))
    for place in names:
        section = data
        for name in place[:-1]:
            section = section.setdefault(name, {})
        section[place[-1]] = draw(LIKELY | ANY)
    if draw(st.integers(0, 9)) == 0:
        data[draw(st.text(max_size=8))] = draw(ANY)
    return data


@QUICKLY
@given(structures())
def test_any_structure_is_a_recipe_or_one_line(folder, data):
    """In a program, as options, and in a file."""
    assert_recipe_or_one_line(lambda: Recipe.parse(data, where="a program"), folder)
    sections = {name: value for name, value in data.items() if name in Recipe.model_fields}
    assert_recipe_or_one_line(lambda: Recipe().override(**sections), folder)
    try:
        content = tomli_w.dumps(data).encode()
    except (TypeError, ValueError):  # no TOML: a surrogate, an integer of too many digits
        return
    assert_recipe_or_one_line(read(content, folder), folder)
