"""Durations: what people write is read, what is written reads back, nonsense is refused."""

import pytest
from hypothesis import example, given, settings, strategies as st

from mean_prompt.system.durations import format_duration, parse_duration
from mean_prompt.system.errors import InputError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1h1m1s", 3661),
        ("8h30m", 30_600),
        ("1h5s", 3605),
        ("090s", 90),
        ("0h5m", 300),
        (" 2H ", 7200),
    ],
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == seconds
    assert isinstance(parse_duration(text), float)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "abc", "0", "90", "h", "-5s", "-1h30m", "+5s", "1.5h", "1e3s", "nan", "inf"),
        *("30m1h", "1h1h", "1h 30m", "2d", "10ms", "5s\n6s", "1_0s", "٣m", "9999999h"),
    ],
)
def test_anything_else_is_refused_with_what_was_found(text):
    with pytest.raises(InputError, match=r"reads like 90s, 10m, 2h or 1h30m: found ") as caught:
        parse_duration(text)
    assert str(caught.value).endswith(repr(text))


@pytest.mark.parametrize("text", ["0s", "0h0m0s", "0m"])
def test_no_time_at_all_is_refused(text):
    with pytest.raises(InputError, match=f"longer than nothing: found '{text}'"):
        parse_duration(text)


@settings(max_examples=40)
@given(st.integers(1, 999_999 * 3600))
def test_what_is_written_reads_back(seconds):
    assert parse_duration(format_duration(seconds)) == seconds


#: Texts like durations: numbers of any length, units in any order, digits of other alphabets.
NEARLY = st.lists(
    st.integers(0, 10**9).map(str)
    | st.sampled_from(
        ["h", "m", "s", "H", "M", "S", " ", "", "-", "+", ".", "e", "_", "0", "٣", "\n"]
    )
).map("".join)
DURATIONS = st.tuples(*(st.integers(0, 10**7) for _ in "hms")).map("{0[0]}h{0[1]}m{0[2]}s".format)


@settings(max_examples=60, deadline=None)
@given(
    NEARLY | DURATIONS | st.text(st.characters(exclude_categories=[])) | st.text("0123456789hms ")
)
@example("9" * 5_000 + "s")
@example("999999h999999m9999999s")
@example("999999h")
@example("\ud800")
def test_free_text_is_read_or_refused_in_one_line(text):
    try:
        seconds = parse_duration(text)
    except InputError as error:
        told = str(error)
    else:
        assert seconds >= 1
        assert parse_duration(format_duration(seconds)) == seconds
        return
    assert len(told.splitlines()) == 1
    assert len(told) < 200
    assert told.isprintable()


@pytest.mark.parametrize("text", ["999999h1s", "999999h999999m", "1h59999940m"])
def test_what_could_not_be_written_again_is_refused(text):
    with pytest.raises(InputError, match=r"at most 999999h: found '|reads like"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-3, "0s"), (0.4, "0s"), (59.6, "1m"), (60, "1m"), (3661.2, "1h1m1s")],
)
def test_seconds_are_rounded_and_written_short(seconds, text):
    assert format_duration(seconds) == text
