"""What is read beside a submission: the journal, the table, and what is left of them."""

import json
import shutil
from dataclasses import asdict, replace

import pyarrow as pa
import pytest
from pyarrow import parquet

from mean_prompt.report.page.submission_files import UNEXPLAINED, SubmissionFiles
from mean_prompt.system.errors import InputError
from tests.report.submissions import ANSWERS, JOB, UNIVERSAL, write_submission


def test_all_of_a_finished_run_is_read(tmp_path):
    out = write_submission(tmp_path)
    for name in (out, out.with_suffix(".parquet")):
        files = SubmissionFiles.read(name)
        assert (files.path, files.page) == (out, tmp_path / "sub.html")
        assert files.answers == ANSWERS
        assert {name: files.job[name] for name in JOB} == JOB
        assert files.fit == {}
        assert files.universal == UNIVERSAL


@pytest.mark.parametrize("gone", [".work", ".parquet"])
def test_either_the_table_or_the_journal_is_enough(tmp_path, gone):
    out = write_submission(tmp_path)
    if gone == ".work":
        shutil.rmtree(out.with_suffix(gone))
    else:
        out.with_suffix(gone).unlink()
    files = SubmissionFiles.read(out)
    assert files.answers == ANSWERS
    assert files.universal == UNIVERSAL


def test_rows_that_a_killed_run_did_not_come_to_had_no_time(tmp_path):
    late = [replace(answer, text=UNIVERSAL) for answer in ANSWERS[3:]]
    out = write_submission(tmp_path, [*ANSWERS[:3], *late], told=ANSWERS[:3], table=False)
    files = SubmissionFiles.read(out)
    assert files.answers[:3] == ANSWERS[:3]
    assert [(row.kind, row.rule) for row in files.answers[3:]] == [("universal", "no time")] * 3


def test_an_answer_that_was_changed_by_hand_is_not_explained(tmp_path):
    out = write_submission(tmp_path)
    out.write_text(out.read_text().replace("style2 style3", "my own"))
    changed = SubmissionFiles.read(out).answers[1]
    assert (changed.text, changed.kind, changed.expected) == ("my own", UNEXPLAINED, None)


def test_a_table_of_an_older_version_knows_less(tmp_path):
    out = write_submission(tmp_path)
    shutil.rmtree(out.with_suffix(".work"))
    table = out.with_suffix(".parquet")
    parquet.write_table(parquet.read_table(table).drop(["universal", "prediction"]), table)
    answers = SubmissionFiles.read(out).answers
    assert [answer.expected for answer in answers] == [answer.expected for answer in ANSWERS]
    assert {answer.universal for answer in answers} == {None}
    # Numbers that are none are left out.
    replace_column(table, "expected", [float("nan"), float("inf"), 1.0, 1.0, None, 1.0])
    read = [answer.expected for answer in SubmissionFiles.read(out).answers]
    assert read == [None, None, 1.0, 1.0, None, 1.0]


def replace_column(path, name, values):
    table = parquet.read_table(path)
    place = table.column_names.index(name)
    parquet.write_table(table.set_column(place, name, pa.array(values)), path)


class TestFaults:
    def test_a_submission_of_another_program_has_no_report(self, tmp_path):
        out = tmp_path / "other.csv"
        out.write_text("id,rewrite_prompt\n1,x\n")
        with pytest.raises(InputError, match=r"neither other\.parquet nor other\.work; name one"):
            SubmissionFiles.read(out)

    def test_the_submission_must_be_there(self, tmp_path):
        out = write_submission(tmp_path)
        out.unlink()
        with pytest.raises(InputError, match=r"a table must be a file: .*sub\.csv is not there"):
            SubmissionFiles.read(out.with_suffix(".parquet"))

    @pytest.mark.parametrize(
        ("column", "value", "message"),
        [
            ("rule", "guess", r"sub\.parquet, row 1: rule: .*'blend'"),
            ("text", None, r"sub\.parquet, row 1: text: .*string"),
        ],
    )
    def test_a_cell_that_is_no_such_thing_is_named(self, tmp_path, column, value, message):
        out = write_submission(tmp_path)
        table = out.with_suffix(".parquet")
        replace_column(table, column, [value] * len(ANSWERS))
        with pytest.raises(InputError, match=message):
            SubmissionFiles.read(out)

    def test_a_table_of_other_columns_is_refused(self, tmp_path):
        out = write_submission(tmp_path)
        table = out.with_suffix(".parquet")
        parquet.write_table(parquet.read_table(table).drop(["kind", "rule"]), table)
        with pytest.raises(
            InputError, match=r"sub\.parquet lacks kind, rule; it is not of predict"
        ):
            SubmissionFiles.read(out)

    def test_a_damaged_journal_is_refused(self, tmp_path):
        out = write_submission(tmp_path)
        with (out.with_suffix(".work") / "answers.jsonl").open("a") as file:
            file.write(json.dumps(asdict(ANSWERS[0]) | {"trust": ["high"]}) + "\n")
        with pytest.raises(InputError, match=r"answers\.jsonl, row a: trust: .*valid number"):
            SubmissionFiles.read(out)
        (out.with_suffix(".work") / "job.json").write_text("{")
        with pytest.raises(InputError, match=r"job\.json is no JSON; move it away"):
            SubmissionFiles.read(out)
