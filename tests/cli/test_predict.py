"""``mean-prompt predict``: also as a process of its own, which is killed and resumed."""

import itertools
import json
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest
from click import unstyle

from mean_prompt.hybrid import job, options as blend
from mean_prompt.hybrid.options import BlendOptions
from mean_prompt.hybrid.submission import Submission
from mean_prompt.system.errors import RunError
from tests.hybrid.conftest import one_thread  # noqa: F401 a fixture
from tests.hybrid.prediction_run import FakeLLM, Place
from tests.hybrid.synthetic import UNIVERSAL, encoder
from tests.processes import Command

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(blend, "load_encoder", lambda _name, **_options: encoder())
    # The tests began long ago; a user's program begins now.
    monkeypatch.setattr("mean_prompt.cli.predict.STARTED", time.monotonic())
    return Place(tmp_path)


@pytest.fixture
def run(program):
    """Return a function that runs the command in this process: exit code, stdout, stderr."""
    return partial(program, "predict")


GIVEN = ("test.jsonl", "--triples", "known.jsonl", "--prompt", UNIVERSAL, "--trials", "1",
         "--max-tokens", "8", "--out", "out.csv")  # fmt: skip
SAID = (*GIVEN, "--llm", "column:said", "--json")


def one_line(err):
    """Return the one line on standard error."""
    assert err.startswith("mean-prompt: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err


class TestOutput:
    def test_json_has_a_shape_to_rely_on(self, run, place):
        """Without time, which is no failure."""
        code, out, err = run(*SAID, "--time-limit", "1s")
        assert (code, err) == (0, "")
        read = json.loads(out)
        assert set(read) == {
            *("rows", "with_llm", "by_index", "universal", "kinds", "rules", "faults"),
            *("expected", "seconds", "out", "table", "page", "notes"),
        }
        assert (read["rows"], read["universal"]) == (54, 54)
        assert (read["out"], read["table"]) == ("out.csv", "out.parquet")
        assert set(place.answers().values()) == {UNIVERSAL}
        place.assert_valid()

    def test_table_says_what_was_done(self, run, place, monkeypatch):
        llm = FakeLLM(fails=("r3", "r4"))
        monkeypatch.setattr(job, "make_predictor", lambda *_args, **_options: llm)
        code, out, err = run(*GIVEN, "--calibrate", "54", "--llm-shots", "0")
        assert (code, err) == (0, "")
        lines = [line.split(maxsplit=1) for line in out.splitlines()]
        for count, what in (
            ("54", "rows"),
            ("52", "answered with a prediction"),
            ("2", "answered by the index alone"),
            ("0", "left with the universal string, no time"),
            ("2", "predictor failed: time-out"),
        ):
            assert [count, what] in [[cells[0], cells[-1].strip()] for cells in lines if cells]
        assert "saved out.csv, out.parquet and out.html" in out
        place.assert_valid()

    @pytest.fixture
    def requests(self, place, monkeypatch):  # noqa: ARG002
        """Return the requests that jobs are made of, and their options; no job is run."""
        made = []

        class Job:
            def __init__(self, request, **options):
                made.append((request, options))
                raise RunError("enough was seen")

        monkeypatch.setattr("mean_prompt.hybrid.PredictionJob", Job)
        return made

    def test_every_option_reaches_the_run(self, run, requests):
        options = (
            "--llm server:m@http://localhost:1/v1 --llm-shots 2 --llm-samples 3 "
            "--llm-temperature 0.5 --llm-max-tokens 9 --llm-timeout 7 --llm-concurrency 5 "
            "--llm-retries 1 --calibrate 31 --time-limit 1h30m --resume --model m "
            "--corpus a.csv --corpus b.csv --prefix one --suffix two --seed 4 "
            "--vector trained --row-search 300"
        )
        code, _, err = run(*GIVEN, *options.split())
        assert code == 1
        assert one_line(err) == "mean-prompt: enough was seen\n"
        [(request, more)] = requests
        assert (request.llm, request.shots, request.calibrate) == (
            "server:m@http://localhost:1/v1", 2, 31,
        )  # fmt: skip
        asked = request.llm_options
        assert (asked.samples, asked.temperature, asked.max_new_tokens) == (3, 0.5, 9)
        assert (asked.timeout, asked.concurrency, asked.retries, asked.seed) == (7, 5, 1, 4)
        assert (request.time_limit, request.resume) == (5400, True)
        assert request.options == BlendOptions(
            model="m", corpus=("a.csv", "b.csv"), prefix="one", suffix="two", max_tokens=8,
            trials=1, seed=4, vector=Path("trained"), row_search=300,
        )  # fmt: skip
        assert more["started"] <= time.monotonic()

    @pytest.mark.parametrize(("given", "evaluations"), [("none", 0), ("auto", None), ("0", 0)])
    def test_a_row_search_has_a_number_of_strings_or_as_many_as_fit(
        self, run, requests, given, evaluations
    ):
        run(*GIVEN, "--row-search", given)
        assert [request.options.row_search for request, _ in requests] == [evaluations]


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "fault"),
        [
            (("--llm", "gpt"), "--llm must be one of none, column:NAME, "),
            (("--llm-batch", "3"), "batch has none with --llm none; leave it out"),
            (("--llm-samples", "2"), "several samples need a temperature"),
            (("--time-limit", "soon"), "reads like 90s, 10m, 2h or 1h30m: found 'soon'"),
            (("--prompt", ""), "--prompt must be a string that is not blank"),
            (("--prompt", "."), "has no best.txt; give a run that found one"),
            (("--prefix", "../gone"), "--prefix must be a string, "),
            (("--triples", "gone.csv"), "gone.csv is not there"),
            (("--row-search", "soon"), "must be none, auto or a number of strings: found 'soon'"),
            (("--row-search", "-3"), "must be none, auto or a number of strings: found '-3'"),
            (("--out", "test.jsonl"), "--out must be a new file: test.jsonl is there"),
        ],
    )
    def test_it_is_one_line_and_leaves_nothing(self, run, place, arguments, fault):
        before = {path: path.read_bytes() for path in place.folder.iterdir()}
        code, out, err = run(*GIVEN, *arguments)
        assert code == 2
        assert out == ""
        assert fault in one_line(err)
        assert {path: path.read_bytes() for path in place.folder.iterdir()} == before

    def test_missing_columns_are_named(self, run, place):
        (place.folder / "test.csv").write_text("id,original_text,text\na,b,c")
        code, _, err = run("test.csv", *GIVEN[1:])
        assert code == 2
        assert "rewritten_text" in one_line(err)
        assert "test.csv" in err

    @pytest.mark.parametrize(
        "arguments",
        [GIVEN[:-2], (*GIVEN, "--trials", "0"), (*GIVEN, "--llm-dtype", "int4")],
        ids=["no out", "no trials", "no such dtype"],
    )  # fmt: skip
    def test_bad_usage_ends_with_code_2(self, run, place, arguments):  # noqa: ARG002
        code, out, err = run(*arguments)
        assert code == 2
        assert out == ""
        assert "Usage: " in unstyle(err)


def stop_after_some_writes():
    """Use the fake encoder, and send this process a signal after a number of writes."""
    blend.load_encoder = lambda _name, **_options: encoder()
    job._BATCH = 2
    number, writes = int(os.environ["SIGNAL"]), itertools.count(1)
    write = Submission.write

    def stopping(submission):
        write(submission)
        if next(writes) == int(os.environ["WRITES"]):
            os.kill(os.getpid(), number)

    Submission.write = stopping


def stopped_by(number, *, after, place):
    """Resume a run in a process of its own, which a signal ends; return its exit code and log."""
    process = Command(
        ["predict", *SAID, "--resume"],
        log=place.folder / "log.txt",
        folder=place.folder,
        environment={"SIGNAL": str(int(number)), "WRITES": str(after)},
        prepare=stop_after_some_writes,
    )
    code = process.wait(120)
    process.kill()
    return code, process.log.read_text()


def test_killed_and_ended_it_leaves_a_valid_file_and_is_resumed_to_the_same_end(run, place):
    code, log = stopped_by(signal.SIGKILL, after=3, place=place)
    assert code == -signal.SIGKILL, log
    place.assert_valid()
    assert sum(text != UNIVERSAL for text in place.answers().values()) == 4

    code, log = stopped_by(signal.SIGTERM, after=3, place=place)
    assert code == 0, log
    read = json.loads(log)
    assert read["rules"] == {"not fitted": 46}  # all but those of four answers before and after
    assert (read["with_llm"], read["universal"]) == (54, 0)
    place.assert_valid()
    assert len(place.table()) == 54

    code, out, _ = run(*SAID, "--resume")
    read = json.loads(out)
    assert (code, read["rules"], read["page"]) == (0, {}, "out.html")
    resumed = place.path().read_bytes()
    assert run(*SAID, "--out", "whole.csv")[0] == 0
    assert resumed == place.path("whole.csv").read_bytes()
