"""Files of prompts: every format gives back the same strings; every fault names its place."""

import csv
import json
import re
import tracemalloc
from pathlib import Path
from unittest.mock import Mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from mean_prompt.corpus import tables
from mean_prompt.corpus.readers import choose_column, iter_prompts, read_columns, read_prompts
from mean_prompt.corpus.tables import MAX_CELL, SUFFIXES, text_lines
from mean_prompt.system.errors import InputError

#: Everything that may stand in a prompt and trip a format: quotes, delimiters, newlines, letters
#: beyond ASCII and beyond the basic plane, blanks around, separators that look like newlines.
PROMPTS = [
    'Say "hello", twice',
    "Two\nlines, one prompt",
    "  blanks around\t",
    "Café, naïve \u2014 déjà vu 🦜",
    "one\u2028two\x0bthree\x85four",
    "semi;colon\tand tab",
    "null",
    "123",
]
MEGABYTE = "x" * 1_000_000


def table(path, rows):
    """Write rows of columns the way that other programs do; return the path."""
    kind = path.suffix.lower()
    if kind == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind in {".csv", ".tsv"}:
        with path.open("w", encoding="utf-8", newline="") as file:
            delimiter = "\t" if kind == ".tsv" else ","
            writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    else:
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        text = "\n".join(lines) if kind == ".jsonl" else f"[{','.join(lines)}]"
        path.write_text(text, encoding="utf-8")
    return path


def written(path, prompts, column="prompt"):
    """Write prompts, in tables beside another column; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".txt":
        path.write_bytes("".join(f"{prompt}\n" for prompt in prompts).encode())
        return path
    return table(path, [{column: prompt, "n": "7"} for prompt in prompts])


def refusal(path, *args, read=read_prompts):
    """Return the message of the refusal; it is one line and names the file."""
    with pytest.raises(InputError) as caught:
        read(path, *args)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


# What is read


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_gives_the_strings_back_byte_for_byte(tmp_path, suffix):
    """Also if the suffix is in capitals, or a byte-order mark stands before the text."""
    prompts = [p for p in PROMPTS if suffix != ".txt" or "\n" not in p]
    path = written(tmp_path / f"a{suffix}", prompts)
    assert read_prompts(path) == prompts
    capitals = path.rename(tmp_path / f"b{suffix.upper()}")
    assert read_prompts(capitals) == prompts
    if suffix != ".parquet":
        capitals.write_bytes(b"\xef\xbb\xbf" + capitals.read_bytes())
        assert read_prompts(capitals) == prompts


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(deadline=None, max_examples=20)
@given(st.lists(TEXT, min_size=1, max_size=6))
def test_any_text_survives_every_structured_format(tmp_path_factory, prompts):
    folder = tmp_path_factory.mktemp("text")
    for suffix in (".csv", ".tsv", ".jsonl", ".json", ".parquet"):
        assert read_prompts(written(folder / f"a{suffix}", prompts), "prompt") == prompts


@given(TEXT)
def test_text_files_have_the_lines_that_newlines_make(text):
    universal = text.replace("\r\n", "\n").replace("\r", "\n")
    expected = universal.removesuffix("\n").split("\n") if text else []
    assert text_lines(text) == expected


def test_newlines_of_windows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(
        b'\xef\xbb\xbfid,prompt\r\n1,"say ""hi"", twice"\r\n2,"two\r\nlines"\r\n\r\n3,plain\r\n'
    )
    assert read_prompts(path) == ['say "hi", twice', "two\r\nlines", "plain"]
    text = tmp_path / "a.txt"
    text.write_bytes(b"one\r\n\r\ntwo")
    assert read_prompts(text) == ["one", "", "two"]


def test_json_rows_may_be_bare_strings(tmp_path):
    lines, array = tmp_path / "a.jsonl", tmp_path / "a.json"
    lines.write_text('"one"\n\n"two"\n')
    array.write_text('["one", "two"]')
    assert read_prompts(lines) == read_prompts(array) == ["one", "two"]


def test_empty_cells_and_nulls_are_kept_as_empty_strings(tmp_path):
    cells = ["one", None, "", "two"]
    expected = ["one", "", "", "two"]
    (tmp_path / "a.csv").write_text("id,prompt\n1,one\n2,\n3,\n4,two\n")
    (tmp_path / "b.csv").write_text('prompt\none\n\n""\ntwo\n')  # null and empty, one column
    lines = '{"prompt": "one"}\n{"prompt": null}\n{"prompt": ""}\n{"prompt": "two"}\n'
    (tmp_path / "c.jsonl").write_text(lines)
    (tmp_path / "d.jsonl").write_text(lines.replace('"prompt": null', '"other": 1'))
    pq.write_table(pa.table({"prompt": cells}), tmp_path / "e.parquet")
    for name in ("a.csv", "b.csv", "c.jsonl", "d.jsonl", "e.parquet"):
        assert read_prompts(tmp_path / name) == expected, name


# Folders


def test_folder_is_read_whole_in_order_of_paths_but_for_what_is_hidden(tmp_path):
    corpus = tmp_path / ".cache" / "corpus"
    written(corpus / "b.csv", ["three"])
    written(corpus / "a.jsonl", ["one"], column="rewrite_prompt")
    written(corpus / "a.txt", ["two"])
    written(corpus / "deep" / "er" / "c.parquet", ["four"], column="text")
    written(corpus / ".a.csv", ["hidden"])
    written(corpus / ".ipynb_checkpoints" / "a-checkpoint.csv", ["a copy"])
    (corpus / "README.md").write_text("no prompts here")
    assert read_prompts(corpus) == ["one", "two", "three", "four"]


def test_folder_without_prompts_is_refused(tmp_path):
    (tmp_path / "notes.md").write_text("nothing")
    (tmp_path / "folder.csv").mkdir()
    assert "must hold prompts: found no file of .csv, .tsv, .jsonl," in refusal(tmp_path)
    (tmp_path / "b.jsonl").write_text('{"prompt": \n')
    assert f"{tmp_path / 'b.jsonl'}: line 1: " in refusal(tmp_path)


# Columns


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["text", "prompt", "rewrite_prompt"], "rewrite_prompt"),
        (["original_text", "text", "prompt"], "prompt"),
        (["id", "text"], "text"),
        (["instruction"], "instruction"),
    ],
)
def test_column_is_guessed_in_order(names, chosen):
    assert choose_column(names, None, Path("a.csv")) == chosen


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json", ".parquet"])
def test_named_column_goes_before_the_guess(tmp_path, suffix):
    path = table(tmp_path / f"a{suffix}", [{"prompt": "guessed", "style": "named"}])
    assert read_prompts(path) == ["guessed"]
    assert read_prompts(path, "style") == ["named"]
    assert "must be in the file" in refusal(path, "stlye")
    assert "has prompt, style, not 'stlye'" in refusal(path, "stlye")


def test_no_likely_column_lists_those_of_all_rows(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1}\n{"id": 2, "words": "x"}\n')
    message = refusal(path)
    assert "named rewrite_prompt, prompt, text, be the only one" in message
    assert message.endswith("has id, words")


# Faults, each with its place


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json", ".txt"])
def test_invalid_utf8_names_line_and_byte(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"prompt\none\ncaf\xe9\nfour\n")
    assert f"a corpus must be UTF-8: {path}, line 3 holds byte 0xe9; convert" in refusal(path)


JSONL = "a JSONL file must be well formed: {path}: line 3: "


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("a.csv", "id,prompt\n1,one\n2,a, b\n", "header's 2 cells: {path}, line 3 has 3; quote"),
        ("a.csv", "id,prompt\n1,one\n2\n", "header's 2 cells: {path}, line 3 has 1; quote"),
        ("a.csv", 'id,prompt\n1,"one\n2,two\n', "{path}: line 3: unexpected end of data"),
        ("a.csv", 'id,prompt\n1,one\n2,"two"!\n', "{path}: line 3: ',' expected after"),
        ("a.csv", "", "must have a header line: {path} is empty"),
        ("a.jsonl", '"one"\n\n{"prompt": "tw\n"four"\n', f"{JSONL}Unterminated string"),
        ("a.jsonl", "\n\n{'prompt': 'two'}", f"{JSONL}Expecting property name"),
        ("a.jsonl", "\n\n" + "[" * 100_000, f"{JSONL}maximum recursion depth"),
        ("a.jsonl", '\n\n{"prompt": ' + "9" * 5000 + "}", f"{JSONL}Exceeds the limit"),
        ("a.json", '[{"prompt": "one"},\n', "must be well formed: {path}: Expecting value: line 2"),
        ("a.json", "", "must be well formed: {path}: Expecting value: line 1"),
        ("a.json", '{"prompt": "one"}', "must be an array of rows: {path} holds one value"),
        ("a.jsonl", '{"prompt": "one"}\n["two"]\n', "{path}, line 2 is list"),
        ("a.jsonl", '{"prompt": "one"}\n\n"three"\n', "{path}, line 3 is str"),
        ("a.jsonl", "1\n2\n", "{path}, line 1 is int"),
    ],
)
def test_a_broken_file_is_refused_with_the_place(tmp_path, name, text, fault):
    path = tmp_path / name
    path.write_text(text)
    assert fault.format(path=path) in refusal(path)


def test_a_cell_that_is_no_string_is_named(tmp_path):
    for name, cell, place in (
        ("a.jsonl", 3, "line 2 has int"),
        ("b.json", ["two"], "row 2 has list"),
        ("c.parquet", b"two", "row 1 has bytes"),
    ):
        first = b"one" if isinstance(cell, bytes) else "one"
        path = table(tmp_path / name, [{"prompt": first}, {"prompt": cell}])
        assert refusal(path).endswith(f"{place} in 'prompt'")


def test_half_a_surrogate_pair_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "one"}\n{"prompt": "cut \\ud83d"}\n')
    assert "line 2 holds half a surrogate pair" in refusal(path)
    path.write_text('{"prompt": "whole \\ud83e\\udd9c"}\n')
    assert read_prompts(path) == ["whole 🦜"]


def test_truncated_parquet_is_refused(tmp_path):
    path = written(tmp_path / "a.parquet", [f"prompt number {n}" for n in range(500)])
    for kept in (0.99, 0.5, 0.0):
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
        assert "a Parquet file must be well formed" in refusal(path)


@pytest.mark.parametrize("names", [("a", "a.b", "prompt"), ("^p.*$", "prompt")])
def test_parquet_columns_are_known_by_their_whole_names(tmp_path, names):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({name: [f"{name} 1", f"{name} 2"] for name in names}), path)
    for name in names:
        assert read_prompts(path, name) == [f"{name} 1", f"{name} 2"]
    assert read_columns(path, names)[names[0]] == [f"{names[0]} 1", f"{names[0]} 2"]
    categories = pa.array(["one", "two", "one"]).dictionary_encode()
    pq.write_table(pa.table({"prompt": categories}), path)
    assert read_prompts(path) == ["one", "two", "one"]


# Files that are never held whole


def pieces(path, column=None):
    """Return the prompts that come before a fault, and the fault."""
    found = []
    try:
        found.extend(iter_prompts(path, column))
    except InputError as error:
        return found, str(error)
    return found, None


def test_a_fault_further_on_comes_after_what_stands_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_BLOCK", 64)
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\n" * 50 + b"caf\xe9\n" + b"two\n")
    found, fault = pieces(path)
    assert found == ["one"] * len(found)
    assert len(found) > 20
    assert "line 51 holds byte 0xe9" in fault


@settings(deadline=None, max_examples=40)
@given(
    st.text(st.sampled_from('ab,"\r\n\u2028é🦜'), max_size=60),
    st.sampled_from([".txt", ".csv", ".jsonl"]),
    st.integers(1, 9),
)
def test_pieces_of_any_size_give_the_same_rows(tmp_path_factory, text, suffix, size):
    path = tmp_path_factory.mktemp("blocks") / f"a{suffix}"
    body = text if suffix != ".jsonl" else "\n".join(json.dumps(part) for part in text.split("a"))
    path.write_bytes((f"prompt\n{body}" if suffix == ".csv" else body).encode())
    whole = pieces(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_BLOCK", size)
        assert pieces(path) == whole


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".txt"])
def test_a_line_without_an_end_is_refused_before_it_is_read(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(tables, "MAX_LINE", 2**14)
    monkeypatch.setattr(tables, "_BLOCK", 2**10)
    path = written(tmp_path / f"a{suffix}", ["one"])
    with path.open("ab") as file:
        # JSONL's rows are separated by newlines, the others' are ended by them.
        file.write(b"\n" if suffix == ".jsonl" else b"")
        file.truncate(2**30)  # a gigabyte of zeros that takes no room on the disk
    tracemalloc.start()
    message = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    number = 3 if suffix in {".csv", ".tsv"} else 2
    assert f"a line may hold at most 16,384 bytes: {path}, line {number} holds more" in message
    assert peak < 2**20


@pytest.fixture
def no_field_limit():
    """A limit that another library has set for the whole process."""
    before = csv.field_size_limit(10**9)
    yield
    csv.field_size_limit(before)


@pytest.mark.usefixtures("no_field_limit")
def test_csv_has_its_own_limits_whatever_the_field_limit(tmp_path, monkeypatch):
    long = written(tmp_path / "a.csv", ["x" * (MAX_CELL + 1)])
    assert f"at most {MAX_CELL:,} characters: {long}, line 2" in refusal(long)
    monkeypatch.setattr(tables, "MAX_LINE", 2**18)
    path = tmp_path / "b.csv"
    path.write_text('id,prompt\n1,"one\n' + "2,two\n" * 50_000)
    assert "a CSV record may hold at most 262,144 characters: " in refusal(path)
    many = written(tmp_path / "c.csv", ["two"] * 60_000)
    assert len(read_prompts(many)) == 60_000


def test_a_json_array_too_large_to_hold_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MAX_JSON", 1_000)
    path = written(tmp_path / "a.json", ["one"] * 10)
    assert read_prompts(path) == ["one"] * 10
    message = refusal(written(tmp_path / "a.json", ["one"] * 1_000))
    assert f"may hold at most 1,000 bytes, for it has to be held whole: {path} holds" in message
    assert message.endswith("write a row a line, as JSONL")


def test_fields_without_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MAX_FIELDS", 10)
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({f"field {n}": "x"}) + "\n" for n in range(11)))
    assert f"at most 10 fields between them: {path}, line 11 has one more" in refusal(path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".txt", ".parquet"])
def test_a_file_is_never_held_whole(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(tables, "_BLOCK", 2**12)
    monkeypatch.setattr(tables, "_SLICE", 64)
    read_prompts(written(tmp_path / f"imports{suffix}", ["one"]))
    path = written(tmp_path / f"a{suffix}", [f"{n} {'word ' * 20}" for n in range(4_000)])
    tracemalloc.start()
    assert sum(1 for _ in iter_prompts(path)) == 4_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000 * 100 / 4


# A cell of a megabyte


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_megabyte_in_a_cell_is_refused_with_their_place(tmp_path, suffix):
    path = written(tmp_path / f"a{suffix}", ["one", MEGABYTE, "three"])
    message = refusal(path)
    unit = "row" if suffix in {".json", ".parquet"} else "line"
    number = 3 if suffix in {".csv", ".tsv"} else 2  # a header stands on the first line
    assert f"{unit} {number}" in message
    assert f"{MAX_CELL:,} characters" in message
    assert len(message) < 500
    longest = "x" * MAX_CELL
    assert read_prompts(written(path, [longest])) == [longest]


def test_unclosed_quote_before_megabytes_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('id,prompt\n1,"one\n' + "2,two\n" * 30_000)
    assert f"a cell holds more than {MAX_CELL:,} characters" in refusal(path)


# Files that are not there, or not for us


@pytest.mark.parametrize("name", ["gone.csv", "gone", "deep/gone.docx"])
def test_missing_file_is_refused(tmp_path, name):
    path = tmp_path / name
    assert refusal(path) == f"a file of prompts must exist: found no file or folder {path}"


@pytest.mark.parametrize("name", ["a", "a.csv.gz", ".csv"])
def test_unknown_suffix_lists_the_known(tmp_path, name):
    (tmp_path / name).write_text("prompt\none\n")
    fault = "one of .csv, .tsv, .jsonl, .json, .parquet, .txt, or a folder"
    assert fault in refusal(tmp_path / name)


@pytest.fixture
def forbidden(monkeypatch):
    """Call it, and no file can be opened any more."""
    fault = Mock(side_effect=PermissionError(13, "Permission denied"))
    return lambda: monkeypatch.setattr(Path, "open", fault)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_file_that_the_system_does_not_give_is_refused(tmp_path, suffix, forbidden):
    path = written(tmp_path / f"a{suffix}", ["one"])
    forbidden()
    fault = f"a corpus must be readable: {path}: Permission denied; check its name and its rights"
    assert refusal(path) == fault


def test_reading_error_in_the_middle_of_a_file_is_refused(tmp_path):
    """The memory of this process, read from its start, is an input/output error for anyone."""
    memory = Path("/proc/self/mem")
    if not memory.exists():
        pytest.skip("this system shows no process memory as a file")
    path = tmp_path / "a.csv"
    path.symlink_to(memory)
    assert "must be readable" in refusal(path)


# Several columns of one file

TABLES = [suffix for suffix in SUFFIXES if suffix != ".txt"]


def columns_refusal(path, *names):
    """Return the message of the refusal; it calls the file no corpus."""
    message = refusal(path, names or ("id", "text"), read=read_columns)
    assert "corpus" not in message
    assert "prompt" not in message
    return message


@pytest.mark.parametrize("suffix", TABLES)
def test_columns_keep_every_string_and_stay_together(tmp_path, suffix):
    rows = [
        {"text": text, "skipped": "x", "id": number, "note": None}
        for number, text in enumerate([*PROMPTS, "007", "1e3", " 2.0"])
    ]
    path = table(tmp_path / f"a{suffix}", rows)
    assert read_columns(path, ("id", "text"), ("note", "gone")) == {
        "id": [str(row["id"]) for row in rows],
        "text": [row["text"] for row in rows],
        "note": [""] * len(rows),
    }


@pytest.mark.parametrize("suffix", TABLES)
def test_missing_columns_are_named_with_those_there_are(tmp_path, suffix):
    path = table(tmp_path / f"a{suffix}", [{"id": "1", "words": "one"}])
    fault = f"a table must have the columns id, text, more: {path} has id, words, not text, more; "
    assert columns_refusal(path, "id", "text", "more") == f"{fault}rename its columns, or add them"


def test_a_wanted_column_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,text,x,text,x\n1,one,2,three,4\n")
    assert "a.csv has 'text' 2 times; rename or remove" in columns_refusal(path)
    assert read_columns(path, ("id", "id"), ("id",)) == {"id": ["1"]}


def test_cells_that_are_neither_text_nor_whole_numbers_are_named(tmp_path):
    for name, cell, kind in (("a", True, "bool"), ("b", 1.0, "float"), ("c", ["x"], "list")):
        path = table(tmp_path / f"{name}.jsonl", [{"id": 1}, {"id": cell}])
        place = f"{path.name}, line 2 has {kind} in 'id'"
        assert columns_refusal(path, "id").endswith(place)
    path = table(tmp_path / "a.parquet", [{"id": 1.5}])
    fault = "cells must be text or whole numbers: .*row 1 has float in 'id'"
    assert re.match(fault, columns_refusal(path, "id"))


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.txt", "one\n", "must be one of .csv, .tsv, .jsonl, .json, .parquet: "),
        ("a.jsonl", '"one"\n"two"\n', r"named columns \(id, text\): .*a.jsonl holds bare strings"),
        ("a.jsonl", "\n", r"named columns \(id, text\): .*a.jsonl holds no rows"),
        ("a.json", "3", "a JSON table must be an array of rows: .*a.json holds one value"),
        ("a.csv", b"id,text\n1,\xff\n", "a table must be UTF-8: .*a.csv, line 2 holds byte 0xff"),
        ("a.jsonl", r'{"id": 1, "text": "\ud83d"}', "a cell must be Unicode text: .*line 1 holds"),
        (
            "a.jsonl",
            '\n{"id": 1, "text": "' + "x" * 10**6 + '"}',
            "a cell may hold at most 131,072 characters: .*a.jsonl, line 2 holds 1,000,000",
        ),
    ],
)
def test_tables_that_cannot_be_read_name_the_fault(tmp_path, name, content, fault):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert re.search(fault, columns_refusal(path))


def test_a_table_must_be_a_file(tmp_path, forbidden):
    assert columns_refusal(tmp_path).endswith("is a folder")
    assert columns_refusal(tmp_path / "gone.csv").endswith("gone.csv is not there")
    assert "a table must be readable" in columns_refusal(tmp_path / ("x" * 300))
    path = table(tmp_path / "a.csv", [{"id": "1", "text": "one"}])
    forbidden()
    assert f"a table must be readable: {path}: Permission denied; check" in columns_refusal(path)
