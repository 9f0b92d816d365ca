"""Whatever a file holds, reading it ends in strings or in one line that names the file."""

import io
import json
import math

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pyarrow import parquet

from mean_prompt.corpus.readers import read_columns, read_prompts
from mean_prompt.corpus.tables import MAX_CELL, SUFFIXES
from mean_prompt.system.errors import InputError
from tests.corpus.test_readers import table

MANY = settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CATEGORY = pa.dictionary(pa.int32(), pa.string())
TEXTS = [suffix for suffix in SUFFIXES if suffix != ".parquet"]

#: What formats are made of, and what trips them: quotes, delimiters, newlines of every kind, a
#: byte-order mark, half a surrogate pair as JSON spells it, zeros.
PIECES = st.sampled_from(
    [
        *"\",\t\r\n{}[]:;'\\ \0",
        "prompt", "text", "id", "null", "true", "1e999", "NaN", "-0", "\r\n", "\ufeff", "\u2028",
        "\\ud83d", "\\u0000", '{"prompt": "', '"}\n', '["', '"]', "prompt,text\n", "é", "🦜",
    ]
)  # fmt: skip
WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(
    st.fixed_dictionaries({"prompt": WORDS | JSON, "id": WORDS | st.integers()}),
    min_size=1,
    max_size=6,
)


@pytest.fixture
def ends_well(tmp_path):
    """Return a check that a file with some bytes is read, or refused in one line that names it."""

    def check(suffix, data):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(data)
        for column in (None, "prompt"):
            texts = outcome(path, read_prompts, path, column)
            assert all(type(text) is str and len(text) <= MAX_CELL for text in texts)
        columns = outcome(path, read_columns, path, ("prompt",), ("id",))
        assert len({len(columns[name]) for name in columns}) <= 1

    return check


def outcome(path, read, *args):
    """Return what was read, or nothing where it was refused as it should be."""
    try:
        return read(*args)
    except InputError as error:
        message = str(error)
        assert str(path) in message
        assert len(message.splitlines()) == 1
        assert len(message) < 3_000
        return []


@st.composite
def damaged(draw, data):
    """Return bytes as a bad disk, a bad copy or a careless editor leaves them."""
    data = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        size = draw(st.integers(0, 24) | st.just(len(data)))
        found = data[place : place + size]
        data[place : place + size] = draw(
            st.sampled_from([b"", bytes(len(found)), found * 2]) | st.binary(max_size=24)
        )
    return bytes(data)


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(data=st.binary(max_size=200))
@MANY
def test_random_bytes(ends_well, suffix, data):
    ends_well(suffix, data)


@pytest.mark.parametrize("suffix", TEXTS)
@given(pieces=st.lists(PIECES, max_size=30))
@MANY
def test_what_formats_are_made_of_in_any_order(ends_well, suffix, pieces):
    ends_well(suffix, "".join(pieces).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json"])
@given(rows=ROWS, draws=st.data())
@MANY
def test_damaged_tables(ends_well, tmp_path, suffix, rows, draws):
    path = tmp_path / f"b{suffix}"
    data = table(path, rows).read_bytes()
    ends_well(suffix, data)
    ends_well(suffix, draws.draw(damaged(data)))


@given(
    cells=st.lists(WORDS, min_size=1, max_size=40),
    kind=st.sampled_from([pa.int64(), pa.float32(), pa.string(), pa.bool_(), CATEGORY]),
    compression=st.sampled_from(["zstd", "snappy", "none", "gzip"]),
    draws=st.data(),
)
@settings(MANY, max_examples=40)
def test_damaged_parquet(ends_well, cells, kind, compression, draws):
    ids = pa.array([str(number % 2) for number in range(len(cells))])
    ids = ids.dictionary_encode() if kind == CATEGORY else ids.cast(kind)
    buffer = io.BytesIO()
    table = pa.table({"prompt": cells, "id": ids})
    parquet.write_table(table, buffer, compression=compression, row_group_size=7)
    ends_well(".parquet", buffer.getvalue())
    ends_well(".parquet", draws.draw(damaged(buffer.getvalue())))


@pytest.mark.parametrize(
    "values",
    [[["a"], ["b", None]], [{"a": 1}, {"a": 2}], [b"\xff", b"a"], [math.nan, 1.0], [None, None]],
    ids=["list", "struct", "binary", "float", "null"],
)
def test_parquet_of_other_types(ends_well, values):
    buffer = io.BytesIO()
    parquet.write_table(pa.table({"prompt": values, "id": ["1", "2"]}), buffer)
    ends_well(".parquet", buffer.getvalue())


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_names_without_end_make_no_message_without_end(ends_well, suffix):
    long = "x" * 100_000
    names = [f"{long}{number}\n" for number in range(30)]
    row = ",".join(f'"{name}"' for name in names)
    ends_well(suffix, (row if suffix == ".csv" else json.dumps(dict.fromkeys(names, 1))).encode())
    ends_well(suffix, (f'"{long}\n"\n1' if suffix == ".csv" else json.dumps({long: 1})).encode())
