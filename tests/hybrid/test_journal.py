"""The work folder: what a kill leaves is read again, what is torn is passed over."""

import json
from dataclasses import asdict, replace

import pytest

from mean_prompt.hybrid import journal as module
from mean_prompt.hybrid.answer import Answer
from mean_prompt.hybrid.journal import Journal
from mean_prompt.hybrid.settings import LLM_DEFAULTS, TEXT_DEFAULTS, FitOutcome
from mean_prompt.system.errors import InputError, RunError

JOB = {"test": "a hash", "seed": 0, "corpus": ["a", "b"]}
ANSWERS = [
    Answer(
        "a",
        "make it\n\"so\", 'café' \u2028🦜",
        "prediction",
        0.25,
        0.5,
        "blend",
        9,
        True,
        0.125,
        "so",
        ("so", "and so"),
        "chosen",
        0.2,
        "searched",
    ),
    Answer("b, \n", "x", "universal", None, None, "no neighbours", 1, False),
    Answer("c", "y", "retrieved", 1 / 3, None, "blend", 3, False),
]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "my.sub.csv"


@pytest.fixture
def journal(out):
    return Journal(out, JOB, resume=False)


def again(out, **changes):
    return Journal(out, JOB | changes, resume=True)


def as_dict(answers):
    return {answer.id: answer for answer in answers}


class TestAnswers:
    def test_they_come_back_as_they_were_given(self, journal, out):
        assert journal.answers() == {}
        journal.record(ANSWERS[:2])
        journal.record(ANSWERS[2:])
        assert again(out).answers() == as_dict(ANSWERS)
        assert len((journal.folder / "answers.jsonl").read_text().split("\n")) == 4

    @pytest.mark.parametrize("line", ["null", '{"id": 1}', "\xff\0", "[" * 9_999])
    def test_a_line_that_is_no_answer_is_passed_over(self, journal, line):
        journal.record(ANSWERS)
        path = journal.folder / "answers.jsonl"
        odd = json.dumps(asdict(ANSWERS[0]) | {"id": ["x"]})
        path.write_bytes(path.read_bytes() + line.encode("latin-1") + b"\n" + odd.encode() + b"\n")
        assert journal.answers() == as_dict(ANSWERS)

    def test_wherever_a_line_is_torn_it_is_passed_over_and_swallows_nothing(self, journal, out):
        journal.record(ANSWERS)
        path = journal.folder / "answers.jsonl"
        data = path.read_bytes()
        whole = data.rindex(b"\n", 0, -1) + 1
        for end in (whole + 1, whole + 17, len(data) - 2):
            path.write_bytes(data[:end])
            assert again(out).answers() == as_dict(ANSWERS[:2])
            journal.record([replace(ANSWERS[2], text="again")])
            assert again(out).answers()["c"].text == "again"
            assert again(out).answers()["b, \n"] == ANSWERS[1]
        path.write_bytes(data[:-1])  # whole but for its end
        journal.record([replace(ANSWERS[0], text="next")])
        assert again(out).answers()["c"] == ANSWERS[2]
        assert again(out).answers()["a"].text == "next"

    def test_work_that_cannot_be_read_is_said_in_one_line(self, journal, out):
        for name in ("answers.jsonl", "fit.json", "job.json"):
            path = journal.folder / name
            path.unlink(missing_ok=True)
            path.mkdir()
            with pytest.raises(InputError, match=rf"--resume must .*{name}: Is a directory; make"):
                {"answers.jsonl": journal.answers, "fit.json": journal.fit}.get(
                    name, lambda: again(out)
                )()

    def test_a_full_disk_is_said_in_one_line(self, journal):
        (journal.folder / "answers.jsonl").mkdir()
        with pytest.raises(RunError, match=r"files must stay writable: .*answers.jsonl: Is a dir"):
            journal.record(ANSWERS)


class TestFit:
    OUTCOME = FitOutcome(text=TEXT_DEFAULTS, llm=LLM_DEFAULTS)

    def test_it_comes_back(self, journal, out):
        assert journal.fit() is None
        journal.record_fit(self.OUTCOME)
        assert again(out).fit() == self.OUTCOME

    @pytest.mark.parametrize("content", ["{", '{"text": 1}'])
    def test_one_that_cannot_be_read_is_no_fit(self, journal, content):
        (journal.folder / "fit.json").write_text(content)
        with pytest.raises(InputError, match=r"--resume must .*fit\.json cannot be read; delete"):
            journal.fit()


class TestJob:
    def test_a_change_is_named(self, journal, out):
        journal.record(ANSWERS)
        assert again(out)
        with pytest.raises(InputError, match=r"has seed 0, now it is 7; repeat the command"):
            again(out, seed=7)
        with pytest.raises(InputError, match=r"has corpus \['a', 'b'\], now it is \['a'\]; repeat"):
            again(out, corpus=["a"])
        with pytest.raises(InputError, match=r"has new None, now it is 'x'"):
            again(out, new="x")

    def test_before_anything_is_decided_it_may_change(self, journal, out):
        changed = again(out, seed=7)
        assert json.loads((journal.folder / "job.json").read_text())["seed"] == 7
        changed.record_fit(TestFit.OUTCOME)
        with pytest.raises(InputError, match="has seed 7, now it is 0"):
            again(out)

    def test_what_is_found_out_is_pinned(self, journal, out):
        journal.pin("model", "x")
        journal.pin("model", "x")
        with pytest.raises(InputError, match="has model 'x', now it is 'y'"):
            journal.pin("model", "y")
        journal.record(ANSWERS)
        with pytest.raises(InputError, match="has model 'x', now it is 'y'"):
            again(out).pin("model", "y")
        again(out).pin("model", "x")

    @pytest.mark.parametrize("content", [None, "{", "[]"])
    def test_work_without_a_job_is_refused(self, journal, out, content):
        journal.record(ANSWERS)
        (journal.folder / "job.json").unlink()
        if content is not None:
            (journal.folder / "job.json").write_text(content)
        with pytest.raises(InputError, match=r"--resume must find whole work: .*sub\.work has no"):
            again(out)

    def test_a_folder_that_a_kill_left_empty_is_no_work(self, out):
        out.with_suffix(".work").mkdir()
        assert Journal(out, JOB, resume=False).answers() == {}
        out.with_suffix(".work").joinpath("job.json").unlink()
        assert again(out).answers() == {}

    def test_a_file_in_the_way_is_said_in_one_line(self, out):
        out.with_suffix(".work").write_text("x")
        with pytest.raises(InputError, match=r"--out must be in a folder .*sub\.work: (File|Not)"):
            Journal(out, JOB, resume=False)


def test_table_holds_a_row_each_also_of_no_known_score(journal):
    from pyarrow import parquet

    journal.write_table(ANSWERS[1:2])
    table = parquet.read_table(journal.table)
    assert tuple(table.to_pylist()[0].values()) == (
        "b, \n", "x", "universal", None, None, "no neighbours", 1, False, None, None, [], None,
        None, None,
    )  # fmt: skip
    types = {name: str(table.schema.field(name).type) for name in ("expected", "predictions")}
    assert types == {"expected": "double", "predictions": "list<element: string>"}


def test_table_that_cannot_be_written_is_said_in_one_line(journal, monkeypatch):
    def full(_path, _data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_atomically", full)
    for write in (
        lambda: journal.write_table(ANSWERS),
        lambda: journal.record_fit(TestFit.OUTCOME),
        lambda: journal.pin("model", "x"),
    ):
        with pytest.raises(RunError, match="No space left on device; the submission is whole"):
            write()
