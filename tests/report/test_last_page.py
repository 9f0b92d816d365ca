"""The page at a prediction run's end: there where it can be, and never at the submission's cost."""

import re

import pytest

from mean_prompt.api import predict
from mean_prompt.hybrid import options as blend
from mean_prompt.hybrid.journal import Journal
from mean_prompt.report import last_page, write
from mean_prompt.report.last_page import write_last_page
from mean_prompt.report.page import submission_files
from mean_prompt.system.errors import InputError
from tests.hybrid.conftest import one_thread  # noqa: F401 a fixture
from tests.hybrid.prediction_run import HIDDEN, Place
from tests.hybrid.synthetic import encoder
from tests.report.submissions import write_submission

FOREVER = float("inf")


@pytest.fixture
def out(tmp_path):
    return write_submission(tmp_path)


def test_the_page_lies_beside_the_submission(out):
    page, fault = write_last_page(out, 6, FOREVER)
    assert (page, fault) == (out.with_suffix(".html"), None)
    assert page.read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("rows", "left", "written"), [(6, 2.1, True), (1_400, 2.1, False), (6, -5.0, False)]
)
def test_where_time_is_short_it_is_left_out(out, rows, left, written):
    page, fault = write_last_page(out, rows, left)
    assert (page is not None) == written == out.with_suffix(".html").exists()
    if not written:
        assert fault == (
            f"the time limit left no time for {out.with_suffix('.html')}: mean-prompt report {out} "
            "writes it"
        )


def test_a_full_disk_is_a_note(out, monkeypatch):
    def full(_path, _data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "write_atomically", full)
    page, fault = write_last_page(out, 6, FOREVER)
    assert page is None
    assert re.search(r"sub\.html was not written: .*No space left on device.*is whole$", fault)


def test_a_fault_of_the_program_is_a_note_that_says_so(out, monkeypatch):
    def broken(_path):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(submission_files.SubmissionFiles, "read", broken)
    page, fault = write_last_page(out, 6, FOREVER)
    assert page is None
    assert "by a fault of this program: ZeroDivisionError: oh; mean-prompt report" in fault


def test_a_run_ends_with_its_page_and_so_does_one_that_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(blend, "load_encoder", lambda _name, **_options: encoder())
    place = Place(tmp_path)
    page = tmp_path / "out.html"

    def broken(_out):
        raise KeyError("kind")

    monkeypatch.setattr(last_page, "_write", broken)
    summary = predict(place.request(llm="column:said"))
    assert summary.page is None
    assert summary.notes[-1].startswith(f"{page} was not written, by a fault")
    assert not page.exists()
    place.assert_valid()
    table = place.table()

    monkeypatch.undo()
    monkeypatch.setattr(blend, "load_encoder", lambda _name, **_options: encoder())
    summary = predict(place.request(llm="column:said", resume=True))
    assert summary.page == page
    assert f"{len(HIDDEN)} rows" in page.read_text("utf-8")
    assert place.table().equals(table)
    # Each row says what the universal string was expected to earn, and what the LLM said.
    assert all(row["universal"] <= row["expected"] for row in table.to_pylist())
    assert table["prediction"].null_count == 0
    place.assert_valid()


def test_a_page_that_is_there_is_not_written_over(tmp_path):
    (tmp_path / "out.html").write_text("mine")
    with pytest.raises(InputError, match=r"--out must be a new file: .*out\.html is there"):
        Journal(tmp_path / "out.csv", {}, resume=False)
    with pytest.raises(
        InputError, match=r"--out must be a CSV file: .*x\.html is the name of what"
    ):
        Journal(tmp_path / "x.html", {}, resume=False)
