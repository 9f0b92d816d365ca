"""Values and texts on one line of a message."""

import pytest

from mean_prompt.system.text import one_line, preview, preview_name


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("café", "'café'"),
        ("two\nlines\u202e", r"'two\nlines\u202e'"),
        (["a", 1], "['a', 1]"),
        ("x" * 100, f"'{'x' * 76}..."),
    ],
)
def test_a_value_is_written_as_python_writes_it_and_cut(value, line):
    assert preview(value) == line


def test_a_value_that_python_cannot_write_has_a_preview():
    assert preview(10**5_000) == "a huge int"
    nest = []
    for _ in range(5_000):
        nest = [nest]
    assert preview(nest) == "a huge list"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("007", "007"),
        ("two words", "two words"),
        ("", "''"),
        (" 7", "' 7'"),
        ("7\n8", r"'7\n8'"),
        ("x" * 100, f"'{'x' * 76}..."),
    ],
)
def test_a_name_stands_without_quotes_if_they_would_add_nothing(name, line):
    assert preview_name(name) == line


def test_a_line_is_one_and_cannot_move_the_cursor():
    assert one_line("two\nlines\r\nand\u2028more") == "two lines and more"
    assert one_line("\x1b[2J\x00é\udcff\u202e") == r"\x1b[2J\x00é\udcff\u202e"


def test_a_line_shows_no_credentials():
    assert one_line("no answer from http://me:secret@host/v1") == (
        "no answer from http://***@host/v1"
    )
