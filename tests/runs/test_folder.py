"""A run's folder: files are old or new and never half there, and no run is written over."""

import json
import os
import shutil

import pytest
from hypothesis import example, given, settings, strategies as st

from mean_prompt.runs.files import BEST, EVENTS, RESULT, STUDY
from mean_prompt.runs.folder import RunFolder
from mean_prompt.runs.recipe import Recipe
from mean_prompt.system.errors import InputError, RunError

UNICODE = "Réécris ce texte 🦜 \u2014 改写"


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def names(folder):
    """Return the names in a folder, but for the lock of the process that works in it."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


# What is written


@example("two\nlines\r\n")
@settings(max_examples=25)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_best_holds_any_string_and_no_newline_more(tmp_path_factory, text):
    run = RunFolder(tmp_path_factory.mktemp("run"))
    run.write_best(text)
    assert (run.path / BEST).read_bytes().decode("utf-8") == text


def test_result_is_readable_json(run):
    run.write_result({"string": UNICODE, "holdout_score": None, "score": 0.25})
    text = run.file("result.json").read_text("utf-8")
    assert json.loads(text) == {"string": UNICODE, "holdout_score": None, "score": 0.25}
    assert UNICODE in text
    assert text.endswith("}\n")


def test_events_are_appended_a_line_each(run):
    events = [{"score": 0.1, "text": "two\nlines"}, {"score": 0.2, "text": UNICODE + "\u2028"}]
    for event in events:
        run.log(event)
    lines = run.file("events.jsonl").read_bytes().decode("utf-8").split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == events


# What goes wrong while writing


def no_space(*_args, **_options):
    raise OSError(28, "No space left on device")


def test_a_write_that_fails_leaves_the_old_file_and_a_later_one_works(run, monkeypatch):
    run.write_best("the old string")
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", no_space)
        with pytest.raises(RunError, match=r"stay writable: .*best\.txt: No space left on device"):
            run.write_best("the new string")
    assert run.file(BEST).read_text("utf-8") == "the old string"
    assert names(run.path) == [BEST]
    run.write_best("the new string")
    assert run.file(BEST).read_text("utf-8") == "the new string"
    assert run.file(BEST).stat().st_mode & 0o777 == 0o644


def test_folder_that_is_gone_is_a_failed_run(run):
    shutil.rmtree(run.path)
    for write in (lambda: run.write_best("text"), lambda: run.log({"score": 1})):
        with pytest.raises(RunError, match=r"No such file or directory; what was written before"):
            write()
    assert RunError.exit_code == 1


# What cannot be a run's folder


@pytest.mark.parametrize("name", [BEST, RESULT, EVENTS, STUDY])
def test_folder_that_holds_a_run_is_refused_and_left_alone(tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(InputError, match=rf"without a run: {tmp_path} holds one; choose another"):
        RunFolder(tmp_path)
    assert names(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "precious"


def test_second_run_in_the_same_folder_is_refused(run):
    run.write_recipe(Recipe())
    run.close()
    RunFolder(run.path).close()  # no string was found yet: nothing is lost
    run.write_best("text")
    with pytest.raises(InputError, match="holds one"):
        RunFolder(run.path)


@pytest.mark.parametrize("place", ["file", "file/below", "x" * 300])
def test_path_that_can_be_no_folder_is_refused(tmp_path, place):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / place
    with pytest.raises(InputError, match=rf"a folder that can be written: {path}: \w.*; choose"):
        RunFolder(path)
    assert (tmp_path / "file").read_text() == "in the way"


def test_folder_without_permissions_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user writes whatever the permissions")
        for path in (tmp_path, tmp_path / "below"):
            with pytest.raises(InputError, match=r"that can be written: .*Permission denied"):
                RunFolder(path)
    finally:
        tmp_path.chmod(0o700)


def test_folder_that_takes_no_file_is_refused(tmp_path, monkeypatch):
    """A full or read-only disk shows only when something is written."""
    monkeypatch.setattr("tempfile.TemporaryFile", no_space)
    with pytest.raises(InputError, match=rf"{tmp_path}: No space left on device; choose another"):
        RunFolder(tmp_path)


def test_a_folder_made_for_nothing_is_removed_and_others_stay(tmp_path):
    made = RunFolder(tmp_path / "runs" / "new")
    assert names(made.path) == []
    made.close()
    assert not made.path.parent.exists()
    kept = RunFolder(tmp_path / "kept")
    kept.write_best("string")
    kept.close()
    assert kept.path.is_dir()
    there = tmp_path / "there"
    there.mkdir()
    (there / "notes.md").write_text("mine")
    RunFolder(there).close()
    assert names(there) == ["notes.md"]


# What a resumed run finds


def test_events_after_the_last_save_are_cut_and_the_best_string_stays(run):
    run.write_recipe(Recipe())
    run.log({"event": "best", "text": "saved", "score": 0.1})
    size = run.events_size()
    run.log({"event": "best", "text": "lost", "score": 0.3})
    run.write_best("lost", 0.3)
    run.close()
    with run.file(EVENTS).open("a") as file:
        file.write('{"event": "be')
    again = RunFolder(run.path, resume=True)
    assert again.best_before == ("lost", 0.3)
    again.cut_events(size)
    again.log_resume(2.0, 7)
    events = [json.loads(line) for line in again.file(EVENTS).read_text().splitlines()]
    assert events == [
        {"event": "best", "text": "saved", "score": 0.1},
        {"event": "resume", "number": 1, "time": 2.0, "evaluations": 7},
    ]
    again.write_best("worse", 0.2)
    assert again.file(BEST).read_text() == "lost"
    again.write_best("better", 0.4)
    assert again.file(BEST).read_text() == "better"


def test_damaged_events_are_refused_and_the_folder_is_free_again(run):
    run.write_recipe(Recipe())
    run.close()
    run.file(EVENTS).write_text("{\n")
    for _ in range(2):
        with pytest.raises(InputError, match=r"each line of a run's events must be JSON: .*line 1"):
            RunFolder(run.path, resume=True)
