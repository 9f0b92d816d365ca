"""The submission: whole, valid and exactly what was put, at every moment."""

import csv
import os

import pytest
from hypothesis import example, given, strategies as st
from pyarrow import csv as arrow_csv, string

from mean_prompt.hybrid import submission as module
from mean_prompt.hybrid.submission import Submission, is_null_to_pandas
from mean_prompt.system.errors import InputError, RunError

FALLBACK = "Improve the text, please."
IDS = ("c", "007", "a")

free_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
answers = free_text.filter(lambda text: text.strip())


@pytest.fixture
def submission(tmp_path):
    return Submission(tmp_path / "submission.csv", IDS, FALLBACK)


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["id"], row["rewrite_prompt"]) for row in csv.DictReader(file, strict=True)]


# What is written


def test_first_file_has_the_fallback_for_every_row(submission):
    submission.write()
    assert submission.path.read_bytes() == (
        b"id,rewrite_prompt\n"
        b'c,"Improve the text, please."\n'
        b'007,"Improve the text, please."\n'
        b'a,"Improve the text, please."\n'
    )


def test_answers_reach_the_file_when_saved(submission):
    submission.write()
    submission.put(1, 'Say "hello"')
    assert rows_of(submission.path)[1] == ("007", FALLBACK)
    submission.save()
    assert rows_of(submission.path) == [("c", FALLBACK), ("007", 'Say "hello"'), ("a", FALLBACK)]


def test_saving_writes_only_what_is_new(submission, monkeypatch):
    written = []
    monkeypatch.setattr(module, "write_atomically", lambda _path, data: written.append(data))
    submission.save()
    submission.save()
    assert len(written) == 1
    submission.put(0, "new")
    submission.save()
    submission.save()
    assert len(written) == 2


@given(st.lists(st.tuples(free_text, answers), min_size=1, max_size=5))
@example([("1", "a\rb"), ("2", " lead"), ("3", '"'), ("4", "a\r\nb\n"), ("5", "\ufeffx\0y")])
@example([("\r", "\x85 x \u2028")])
def test_what_is_put_is_what_every_reader_reads(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "submission.csv"
    submission = Submission(path, [name for name, _ in rows], FALLBACK)
    for number, (_, text) in enumerate(rows):
        submission.put(number, text)
    submission.save()
    assert path.read_bytes().startswith(b"id,rewrite_prompt\n")
    assert rows_of(path) == rows
    options = arrow_csv.ConvertOptions(column_types={"id": string(), "rewrite_prompt": string()})
    lines = arrow_csv.ParseOptions(newlines_in_values=True)
    table = arrow_csv.read_csv(path, parse_options=lines, convert_options=options)
    assert list(zip(*(column.to_pylist() for column in table.columns), strict=True)) == rows


# Answers that are none


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", r"must not be blank: found .* for row 1"),
        ("\n\t\u2003", r"must not be blank: found .* for row 1"),
        ("cut \ud83d", "surrogates not allowed"),
    ],
)
def test_what_is_no_answer_is_refused_and_changes_nothing(submission, text, fault):
    with pytest.raises(ValueError, match=fault):
        submission.put(1, text)
    submission.save()
    assert rows_of(submission.path)[1] == ("007", FALLBACK)


def test_what_pandas_takes_for_missing_is_known():
    """As ``pandas.read_csv`` 3.1 documents it, and did of each of these, quoted."""
    documented = (
        "#N/A; #N/A N/A; #NA; -1.#IND; -1.#QNAN; -NaN; -nan; 1.#IND; 1.#QNAN; <NA>; N/A; NA; NULL; "
        "NaN; None; n/a; nan; null; "
    )
    assert all(is_null_to_pandas(text) for text in documented.split("; "))


@pytest.mark.parametrize("text", [" NA", "NA ", "none", "Na", "nil", "-", "0", "NA\n", "None."])
def test_what_only_looks_missing_is_text(text):
    assert not is_null_to_pandas(text)


# What is refused before any work


@pytest.mark.parametrize(
    ("fallback", "fault"),
    [
        (" \n", "--prompt must be a string that is not blank"),
        ("null", "--prompt must be text: 'null' is read as a missing value; give another"),
        ("cut \ud83d", "--prompt must be Unicode text: character 5"),
    ],
)
def test_a_fallback_that_is_no_answer_is_refused(tmp_path, fallback, fault):
    with pytest.raises(InputError, match=fault):
        Submission(tmp_path / "a.csv", IDS, fallback)


def test_places_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    os.mkfifo(tmp_path / "pipe")
    for path, fault in (
        (tmp_path, f"--out must be a file: {tmp_path} is a folder"),
        (tmp_path / "gone" / "a.csv", "a.csv: No such file or directory; choose a folder"),
        (tmp_path / "file" / "a.csv", "a.csv: Not a directory; choose a folder"),
        (tmp_path / ("x" * 250), "x: File name too long"),
        (tmp_path / "pipe", "pipe is no regular file"),
    ):
        with pytest.raises(InputError, match=fault):
            Submission(path, IDS, FALLBACK)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "pipe"]


def test_a_disk_lost_later_is_a_failed_run_and_the_file_stays(submission, monkeypatch):
    submission.write()
    before = submission.path.read_bytes()

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_atomically", full)
    submission.put(0, "better")
    fault = "stay writable: .*submission.csv: No space left on device; what was written before is"
    with pytest.raises(RunError, match=fault):
        submission.save()
    assert submission.path.read_bytes() == before
    monkeypatch.undo()
    submission.save()  # what could not be written is still to be
    assert rows_of(submission.path)[0] == ("c", "better")
