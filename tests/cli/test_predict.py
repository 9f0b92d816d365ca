"""``mean-prompt predict``: also as a process of its own, which is killed and resumed."""

import json
import signal
import time
from functools import partial

import pytest
from click import unstyle

from mean_prompt.hybrid import job, options as blend
from mean_prompt.hybrid.check import check_submission
from mean_prompt.hybrid.options import BlendOptions
from mean_prompt.system.data import shipped_folder
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


def one_line(err):
    """Return the one line on standard error."""
    assert err.startswith("mean-prompt: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    return err


class TestOutput:
    def test_json_has_a_shape_to_rely_on(self, run, place):
        code, out, err = run(*GIVEN, "--llm", "column:said", "--json")
        assert (code, err) == (0, "")
        read = json.loads(out)
        assert set(read) == {
            *("rows", "with_llm", "by_index", "universal", "kinds", "rules", "faults"),
            *("expected", "seconds", "out", "table", "page", "notes"),
        }
        assert (read["rows"], read["with_llm"]) == (54, 54)
        assert (read["out"], read["table"]) == ("out.csv", "out.parquet")
        assert read["page"] == "out.html"
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

    def test_no_time_at_all_is_no_failure(self, run, place):
        code, out, _ = run(*GIVEN, "--time-limit", "1s", "--json")
        assert code == 0
        assert json.loads(out)["universal"] == 54
        assert set(place.answers().values()) == {UNIVERSAL}
        place.assert_valid()

    def test_every_option_reaches_the_run(self, run, place, monkeypatch):  # noqa: ARG002
        made = []

        class Job:
            def __init__(self, request, **options):
                made.append((request, options))
                raise RunError("enough was seen")

        monkeypatch.setattr("mean_prompt.hybrid.PredictionJob", Job)
        options = (
            "--llm server:m@http://localhost:1/v1 --llm-shots 2 --llm-samples 3 "
            "--llm-temperature 0.5 --llm-max-tokens 9 --llm-timeout 7 --llm-concurrency 5 "
            "--llm-retries 1 --calibrate 31 --time-limit 1h30m --resume --model m "
            "--corpus a.csv --corpus b.csv --prefix one --suffix two --seed 4"
        )
        code, _, err = run(*GIVEN, *options.split())
        assert code == 1
        assert one_line(err) == "mean-prompt: enough was seen\n"
        [(request, more)] = made
        assert (request.llm, request.shots, request.calibrate) == (
            "server:m@http://localhost:1/v1", 2, 31,
        )  # fmt: skip
        asked = request.llm_options
        assert (asked.samples, asked.temperature, asked.max_new_tokens) == (3, 0.5, 9)
        assert (asked.timeout, asked.concurrency, asked.retries, asked.seed) == (7, 5, 1, 4)
        assert (request.time_limit, request.resume) == (5400, True)
        assert request.options == BlendOptions(
            model="m", corpus=("a.csv", "b.csv"), prefix="one", suffix="two", max_tokens=8,
            trials=1, seed=4,
        )  # fmt: skip
        assert more["started"] <= time.monotonic()


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

    def test_an_llm_that_cannot_be_asked_ends_with_its_error_and_a_valid_file(self, run, place):
        code, out, err = run(
            *GIVEN, "--llm", "server:m@http://127.0.0.1:9/v1", "--llm-retries", "0"
        )
        assert code == 2
        assert out == ""
        assert "must be a server that can be reached: http://127.0.0.1:9/v1" in one_line(err)
        place.assert_valid()

    def test_another_job_is_not_resumed(self, run, place):
        assert run(*GIVEN)[0] == 0
        answers = (place.folder / "out.csv").read_bytes()
        code, _, err = run(*GIVEN, "--resume", "--seed", "1")
        assert code == 2
        assert "has seed 0, now it is 1" in one_line(err)
        assert (place.folder / "out.csv").read_bytes() == answers
        assert run(*GIVEN, "--resume")[0] == 0

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


ROWS = 12
KNOWN = 36


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A folder with some shipped triples, each with a prediction, and more rows to answer."""
    folder = tmp_path_factory.mktemp("shipped")
    lines = (shipped_folder("corpora") / "triples.jsonl").read_text("utf-8").splitlines()
    rows = sorted(map(json.loads, lines), key=lambda row: len(row["rewritten_text"]))
    for row in rows:
        # What an LLM might have said: half of it right.
        row["said"] = " ".join(row["rewrite_prompt"].split()[:4]) + " text"
    chosen = rows[:: len(rows) // (ROWS + KNOWN)][: ROWS + KNOWN]
    known, test = [], []
    for number, row in enumerate(chosen):
        (test if number % 4 == 0 else known).append(row)
    for row in test:
        del row["rewrite_prompt"]
    for name, some in (("test", test), ("known", known)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    assert (len(test), len(known)) == (ROWS, KNOWN)
    return folder


def arguments(out, *more):
    given = ["test.jsonl", "--triples", "known.jsonl", "--llm", "column:said", "--out", out]
    given += ["--prompt", "Rewrite this text in another style", "--trials", "2"]
    return [*given, "--model", "all-MiniLM-L6-v2", "--json", *more]


def two_at_once():
    job._BATCH = 2


@pytest.fixture
def begin(shipped):
    """Return a function that starts the program, which answers two rows at once, on its own."""
    begun = []

    def start():
        asked = ["predict", *arguments("out.csv", "--resume")]
        log = shipped / f"log-{len(begun)}.txt"
        begun.append(Command(asked, log=log, folder=shipped, prepare=two_at_once))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()


def wait_until(process, condition):
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.log.read_text()
        assert time.monotonic() < end
        time.sleep(0.005)


def lines_of(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_killed_and_ended_it_leaves_a_valid_file_and_is_resumed_to_the_same_end(
    shipped, run, begin, minilm, monkeypatch
):
    """Killed at the first file and between two answers; then asked to end."""
    monkeypatch.chdir(shipped)
    monkeypatch.setattr(blend, "load_encoder", lambda _name, **_options: minilm)
    monkeypatch.setattr(job, "_BATCH", 2)
    # All that follow share its cache.
    code, out, _ = run(*arguments("whole.csv"))
    assert (code, json.loads(out)["with_llm"]) == (0, ROWS)

    out, work = shipped / "out.csv", shipped / "out.work"
    answers, universal = work / "answers.jsonl", 0
    for moment in (out.exists, lambda: lines_of(answers) >= 3):
        process = begin()
        wait_until(process, moment)
        process.send_signal(signal.SIGKILL)
        assert process.wait(20) == -signal.SIGKILL
        assert check_submission(out, shipped / "test.jsonl") == []
        universal += out.read_text().count("Rewrite this text in another style\n")
    assert universal >= ROWS  # it was killed before it was done
    before = lines_of(answers)
    assert before < ROWS - 4

    process = begin()
    wait_until(process, lambda: lines_of(answers) > before)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    read = json.loads(process.log.read_text())
    assert before < read["with_llm"] <= ROWS
    assert read["with_llm"] + read["by_index"] + read["universal"] == ROWS
    assert check_submission(out, shipped / "test.jsonl") == []
    assert out.with_suffix(".parquet").exists()

    code, said, _ = run(*arguments("out.csv", "--resume"))
    assert (code, json.loads(said)["with_llm"]) == (0, ROWS)
    assert out.read_bytes() == (shipped / "whole.csv").read_bytes()
