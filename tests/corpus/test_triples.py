"""Files of rows and triples: what is kept, what is dropped and counted, what is refused."""

import json
import re

import pytest

from mean_prompt.corpus.triples import read_ids, read_rows, read_triples
from mean_prompt.system.errors import InputError

ROW = {"original_text": "one", "rewritten_text": "two"}


def csv_file(path, *lines, header="id,original_text,rewritten_text"):
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def jsonl_file(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def triples_file(path, *prompts, **columns):
    rows = [ROW | {"rewrite_prompt": prompt} for prompt in prompts]
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    return jsonl_file(path, *rows)


# Rows


def test_rows_are_kept_as_they_stand(tmp_path):
    path = tmp_path / "test.csv"
    path.write_bytes(
        b"\xef\xbb\xbfid,rewritten_text,other,original_text\r\n"
        b'007," two\nlines ",x,one\r\n 8 ,,x,\r\n'
    )
    rows = read_rows(path)
    assert rows.ids == ("007", " 8 ")
    assert rows.originals == ("one", "")
    assert rows.rewritten == (" two\nlines ", "")
    assert read_ids(path) == rows.ids


def test_ids_alone_need_no_texts(tmp_path):
    path = csv_file(tmp_path / "sample.csv", "b,x", "a,x", header="id,rewrite_prompt")
    assert read_ids(path) == ("b", "a")
    with pytest.raises(InputError, match="has id, rewrite_prompt, not original_text, rewritten"):
        read_rows(path)


@pytest.mark.parametrize("read", [read_rows, read_ids, read_triples])
@pytest.mark.parametrize(
    ("ids", "fault"),
    [
        (("7", "8", "7"), "rows 1 and 3 in .*test.jsonl both have 7; rename or remove one"),
        (("7", 7), "rows 1 and 2 in .*test.jsonl both have 7"),
        (("7", " \t"), "row 2 in .*test.jsonl is blank; give it one"),
        (("7", None), "row 2 in .*test.jsonl is blank"),
    ],
    ids=["twice", "number and text", "blank", "null"],
)
def test_ids_that_do_not_name_one_row_are_refused(tmp_path, read, ids, fault):
    path = triples_file(tmp_path / "test.jsonl", *("p" for _ in ids), id=ids)
    with pytest.raises(InputError, match=fault):
        read(path)


@pytest.mark.parametrize("read", [read_rows, read_ids, read_triples])
def test_a_header_alone_is_refused(tmp_path, read):
    path = csv_file(tmp_path / "a.csv", header="id,original_text,rewritten_text,prompt")
    with pytest.raises(InputError, match=rf"at least one: {re.escape(str(path))} has a header"):
        read(path)


# Triples


def test_triples_are_stripped_and_counted(tmp_path):
    path = csv_file(
        tmp_path / "a.csv",
        "a,one,two, Make it rhyme ",
        "b,one,two, ",
        "c, one,two,one",
        "d,,two,Continue",
        "e,one,\t,Shorten",
        header="id,original_text,rewritten_text,rewrite_prompt",
    )
    read = read_triples(path)
    assert read.triples.rows.ids == ("a", "d", "e")
    assert read.triples.prompts == ("Make it rhyme", "Continue", "Shorten")
    assert read.triples.rows.rewritten == ("two", "two", "\t")
    assert read.notes == (
        f"3 triples from 5 rows of {path}",
        "1 row dropped, the prompt is blank",
        "1 row dropped, the prompt is the original text itself",
        "1 row kept, the original text is blank",
        "1 row kept, the rewritten text is blank",
    )


def test_rows_without_ids_are_numbered_before_any_is_dropped(tmp_path):
    path = triples_file(tmp_path / "a.jsonl", "x", None, "y")
    assert read_triples(path).triples.rows.ids == ("1", "3")
    path = triples_file(tmp_path / "a.jsonl", "x")
    assert read_triples(path).notes == (f"1 triple from 1 row of {path}",)


def test_rewrite_prompt_goes_before_prompt(tmp_path):
    both = triples_file(tmp_path / "a.jsonl", "right", prompt=["wrong"])
    other = jsonl_file(tmp_path / "b.jsonl", ROW | {"prompt": "also right"})
    assert read_triples(both).triples.prompts == ("right",)
    assert read_triples(other).triples.prompts == ("also right",)


def test_triples_without_any_prompts_are_refused(tmp_path):
    path = jsonl_file(tmp_path / "b.jsonl", ROW | {"instruction": "x"})
    fault = "in a column rewrite_prompt or prompt: .*b.jsonl has neither; rename the column"
    with pytest.raises(InputError, match=fault):
        read_triples(path)
    path = triples_file(tmp_path / "a.jsonl", " ", "one")
    fault = r"a\.jsonl has 2 rows, none with one of its own in 'rewri"
    with pytest.raises(InputError, match=fault):
        read_triples(path)
