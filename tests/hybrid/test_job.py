"""A prediction run: whatever ends it, the submission is whole, and it can be gone on with."""

import json
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pyarrow import json as arrow_json, parquet

from mean_prompt.hybrid import job, predictor as blend
from mean_prompt.hybrid.job import PredictionJob
from mean_prompt.hybrid.journal import Journal
from mean_prompt.hybrid.predictor import LEAST_PREDICTED, HybridPredictor
from mean_prompt.hybrid.request import universal_string
from mean_prompt.hybrid.space import Space
from mean_prompt.hybrid.submission import Submission
from mean_prompt.system.deadline import OutOfTimeError
from mean_prompt.system.errors import InputError, RunError
from tests.hybrid.prediction_run import (
    HIDDEN,
    KNOWN,
    SAID,
    WORLD,
    FakeLLM,
    Place,
    earned,
    write_rows,
)
from tests.hybrid.synthetic import UNIVERSAL, encoder

pytestmark = pytest.mark.usefixtures("one_thread")

IDS = [WORLD.triples.rows.ids[row] for row in HIDDEN]


@pytest.fixture
def loaded(monkeypatch):
    """Give every run the fake encoder; return the names that it was asked for by."""
    names = []

    def load(name, **_options):
        names.append(name)
        return encoder()

    monkeypatch.setattr(blend, "load_encoder", load)
    return names


@pytest.fixture
def place(tmp_path, loaded):  # noqa: ARG001
    return Place(tmp_path)


@pytest.fixture
def ask(monkeypatch):
    """Return a function that sets the LLM of the runs to come."""

    def ask(llm):
        monkeypatch.setattr(job, "make_predictor", lambda *_args, **_options: llm)
        return llm

    return ask


@pytest.fixture
def saves(monkeypatch, place):
    """Hold every save against the test file; return the answers of each."""
    seen = []
    write = Submission.write

    def checked(submission):
        write(submission)
        place.assert_valid(submission.path.name)
        seen.append(place.answers(submission.path.name))

    monkeypatch.setattr(Submission, "write", checked)
    return seen


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(job, "_BATCH", 8)


@pytest.fixture
def small_margin(monkeypatch):
    """Keep little of a time limit for the last files: these runs last a second."""
    monkeypatch.setattr(job, "_MARGIN_SECONDS", 0.3)


def run(request, **options):
    return PredictionJob(request, **options).run()


def universal_everywhere():
    return dict.fromkeys(IDS, UNIVERSAL)


class TestSubmission:
    def test_it_is_there_before_anything_heavy(self, place, ask, monkeypatch):
        ask(FakeLLM())

        def load(_name, **_options):
            place.assert_valid()
            assert place.answers() == universal_everywhere()
            raise InputError("seen")

        monkeypatch.setattr(blend, "load_encoder", load)
        with pytest.raises(InputError, match=r"^seen$"):
            run(place.request())

    @pytest.mark.usefixtures("small_batches")
    @pytest.mark.parametrize("calibrate", [0, 64])
    def test_it_is_valid_at_every_save_and_answers_never_go_back(
        self, place, ask, saves, calibrate
    ):
        ask(FakeLLM(seconds=0.004, fails=IDS[:9]))
        summary = run(place.request(calibrate=calibrate))
        assert len(saves) > 6
        assert saves[0] == universal_everywhere()
        assert saves[-1] == place.answers()
        known = [sum(text != UNIVERSAL for text in answers.values()) for answers in saves]
        assert known == sorted(known)
        assert known[-1] == len(IDS)
        assert summary.with_llm == len(IDS) - 9
        assert summary.by_index == 9

    def test_the_blend_is_better_than_its_parts(self, place, ask):
        ask(None)
        run(place.request("index.csv"))
        ask(FakeLLM())
        run(place.request("trusting.csv"))
        summary = run(place.request("blend.csv", calibrate=64))
        scores = [earned(place.answers(f"{n}.csv"), encoder())
                  for n in ("index", "trusting", "blend")]  # fmt: skip
        assert scores[2] > 1.1 * max(scores[:2])
        assert scores[0] > 1.5 * earned(universal_everywhere(), encoder())
        assert place.answers("trusting.csv") == {
            name: said for name, (said,) in zip(IDS, SAID, strict=True)
        }
        assert summary.expected == pytest.approx(scores[2], abs=0.1)

    def test_choices_lie_beside_it_in_the_order_of_the_test_file(self, place, ask):
        ask(FakeLLM(fails=IDS[3:5]))
        summary = run(place.request(calibrate=64))
        table = place.table()
        assert summary.table == place.folder / "out.parquet"
        assert {field.name: str(field.type) for field in table.schema} == {
            "id": "string",
            "text": "string",
            "kind": "string",
            "expected": "double",
            "trust": "double",
            "rule": "string",
            "candidates": "int64",
            "with_llm": "bool",
            "universal": "double",
            "prediction": "string",
        }
        columns = table.to_pydict()
        assert columns["id"] == IDS
        assert dict(zip(IDS, columns["text"], strict=True)) == place.answers()
        assert columns["with_llm"] == [name not in IDS[3:5] for name in IDS]
        assert table["trust"].null_count == 2
        assert np.mean(columns["expected"]) == pytest.approx(summary.expected)
        assert summary.kinds == Counter(columns["kind"])
        assert set(columns["rule"]) == {"blend"}

    def test_rows_that_rules_decide_have_the_universal_string(self, place, ask):
        rows = [json.loads(line) for line in place.test.read_text().splitlines()]
        rows[0]["rewritten_text"] = " "
        rows[1]["rewritten_text"] = rows[1]["original_text"]
        place.test.write_text("".join(json.dumps(row) + "\n" for row in rows))
        ask(FakeLLM())
        summary = run(place.request(calibrate=64))
        assert summary.rules == {"blank": 1, "unchanged": 1}
        assert [place.answers()[name] for name in IDS[:2]] == [UNIVERSAL] * 2
        llm = ask(FakeLLM())
        run(place.request(calibrate=64, resume=True))
        assert llm.asked == []  # nothing is left that an LLM could decide


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The submission of a run that nothing happened to."""
    place = Place(tmp_path_factory.mktemp("undisturbed"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blend, "load_encoder", lambda _name, **_options: encoder())
        patch.setattr(job, "make_predictor", lambda *_args, **_options: FakeLLM())
        run(place.request("whole.csv", calibrate=64))
    return (place.folder / "whole.csv").read_bytes()


class TestCrash:
    """An exception from anywhere leaves a valid file, from which --resume goes on."""

    @staticmethod
    def assert_whole_and_resumable(place, ask, undisturbed):
        place.assert_valid()
        ask(FakeLLM())
        run(place.request(calibrate=64, resume=True))
        assert (place.folder / "out.csv").read_bytes() == undisturbed
        assert len(place.table()) == len(IDS)

    @pytest.mark.usefixtures("small_batches")
    @pytest.mark.parametrize("after", [0, 2, 9, 14])
    def test_of_the_encoder(self, place, ask, undisturbed, monkeypatch, after):
        calls = iter(range(10**6))
        tokens = Space.tokens

        def broken(space, texts):
            if next(calls) == after:
                raise MemoryError("the encoder broke")
            return tokens(space, texts)

        ask(FakeLLM())
        with monkeypatch.context() as patch:
            patch.setattr(Space, "tokens", broken)
            with pytest.raises(MemoryError, match="the encoder broke"):
                run(place.request(calibrate=64))
        self.assert_whole_and_resumable(place, ask, undisturbed)

    @pytest.mark.usefixtures("small_batches")
    @pytest.mark.parametrize("kind", [RuntimeError, InputError])
    def test_of_the_llm_at_the_test_rows(self, place, ask, undisturbed, kind):
        ask(FakeLLM(seconds=0.002, breaks=(IDS[30], kind)))
        with pytest.raises(kind, match="the LLM broke"):
            run(place.request(calibrate=64))
        improved = sum(text != UNIVERSAL for text in place.answers().values())
        assert improved >= 30  # all that it said before
        self.assert_whole_and_resumable(place, ask, undisturbed)

    @pytest.mark.parametrize("calibrate", [0, 64])
    def test_of_an_llm_that_cannot_be_asked(self, place, ask, calibrate):
        first = WORLD.triples.rows.ids[KNOWN[0]] if calibrate else IDS[0]
        ask(FakeLLM(breaks=(first, InputError)))
        with pytest.raises(InputError, match="the LLM broke"):
            run(place.request(calibrate=calibrate))
        place.assert_valid()

    @pytest.mark.usefixtures("small_batches")
    @pytest.mark.parametrize("after", [0, 2])
    def test_of_the_disk(self, place, ask, undisturbed, monkeypatch, after):
        times = iter(range(1000))
        record = Journal.record

        def full(journal, answers):
            if next(times) == after:
                raise RunError("No space left on device")
            record(journal, answers)

        ask(FakeLLM(seconds=0.002))
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "record", full)
            with pytest.raises(RunError, match="No space left"):
                run(place.request(calibrate=64))
        assert place.answers() != universal_everywhere()  # what there was is in the submission
        self.assert_whole_and_resumable(place, ask, undisturbed)

    @pytest.mark.usefixtures("small_batches")
    @pytest.mark.parametrize("after", [0, 1, 3])
    def test_between_two_saves(self, place, ask, undisturbed, monkeypatch, after):
        """As a kill does it: nothing runs any more, not even what tidies up."""

        class Killed(BaseException):
            pass

        times = iter(range(1000))
        write = Submission.write

        def killed(submission):
            if next(times) > after:
                raise Killed
            write(submission)

        ask(FakeLLM(seconds=0.002))
        with monkeypatch.context() as patch:
            patch.setattr(Submission, "write", killed)
            with pytest.raises(Killed):
                run(place.request(calibrate=64))
        self.assert_whole_and_resumable(place, ask, undisturbed)


class TestTimeLimit:
    def test_too_short_for_anything(self, place, ask, loaded):
        ask(FakeLLM())
        summary = run(place.request(time_limit=0.5))
        place.assert_valid()
        assert place.answers() == universal_everywhere()
        assert (summary.universal, summary.with_llm, summary.by_index) == (len(IDS), 0, 0)
        assert summary.kinds == {"universal": len(IDS)}
        assert summary.rules == {"no time": len(IDS)}
        assert summary.expected is None
        assert loaded == []  # it takes seconds

    def test_it_counts_from_where_the_user_began_to_wait(self, place, ask):
        ask(None)
        summary = run(place.request(time_limit=3600), started=time.monotonic() - 3600)
        assert summary.universal == len(IDS)
        assert summary.seconds >= 3600

    @pytest.mark.usefixtures("small_margin")
    def test_a_slow_llm_improves_the_rows_that_fit(self, place, ask):
        llm = ask(FakeLLM(seconds=0.1))
        summary = run(place.request(time_limit=3))
        place.assert_valid()
        assert summary.seconds < 3
        assert 5 <= summary.with_llm <= 27
        assert summary.with_llm + summary.by_index == len(IDS)
        assert summary.universal == 0
        assert summary.with_llm == len(llm.asked)
        said = dict(zip(IDS, (texts[0] for texts in SAID), strict=True))
        answers = place.answers()
        assert all(answers[name] == said[name] for name in llm.asked)
        table = place.table()
        assert table.filter("with_llm")["id"].to_list() == llm.asked

    @pytest.mark.usefixtures("small_margin", "small_batches")
    def test_a_slow_encoder_leaves_the_rest_as_it_was(self, place, ask, monkeypatch):
        ask(None)
        run(place.request("whole.csv"))
        predict = HybridPredictor.predict

        def slow(predictor, rows, *arguments, clock):
            time.sleep(0.4)
            clock.check()
            return predict(predictor, rows, *arguments, clock=clock)

        monkeypatch.setattr(HybridPredictor, "predict", slow)
        summary = run(place.request(time_limit=2.5))
        place.assert_valid()
        assert summary.seconds < 2.5 + 0.3
        assert 0 < summary.by_index < len(IDS)
        assert summary.by_index + summary.universal == len(IDS)
        assert summary.rules == {"no time": summary.universal}
        whole, answers = place.answers("whole.csv"), place.answers()
        done = [row["id"] for row in place.table().to_pylist() if row["rule"] != "no time"]
        assert done == IDS[: summary.by_index]
        assert all(answers[name] == (whole[name] if name in done else UNIVERSAL) for name in IDS)
        monkeypatch.undo()
        # Those that had no time have it now, under no limit.
        monkeypatch.setattr(blend, "load_encoder", lambda _name, **_options: encoder())
        ask(None)
        run(place.request(resume=True))
        assert place.answers() == whole

    def test_without_time_to_fit_predictions_stand_until_there_is(self, place, ask, monkeypatch):
        ask(FakeLLM())
        run(place.request("whole.csv", calibrate=64))
        with monkeypatch.context() as patch:
            patch.setattr(job, "_FIT_SHARE", 0.0)
            summary = run(place.request(calibrate=64, time_limit=60))
        place.assert_valid()
        assert summary.rules == {"not fitted": len(IDS)}
        assert summary.with_llm == len(IDS)
        assert any("no time to fit" in note for note in summary.notes)
        assert list(place.answers().values()) == [texts[0] for texts in SAID]
        summary = run(place.request(calibrate=64, resume=True))
        assert summary.rules == {}
        assert place.answers() == place.answers("whole.csv")

    def test_fewer_known_rows_are_fitted_where_all_are_too_many(self, place, ask, monkeypatch):
        tried = []
        fit = HybridPredictor.fit

        def picky(predictor, triples, *arguments, **options):
            tried.append(len(triples))
            if len(triples) > 20:
                raise OutOfTimeError
            return fit(predictor, triples, *arguments, **options)

        monkeypatch.setattr(HybridPredictor, "fit", picky)
        ask(None)
        summary = run(place.request(time_limit=60))
        assert tried == [54, 13]
        assert summary.by_index == len(IDS)
        assert "the time limit left time for 13 of 54 known rows" in summary.notes
        assert earned(place.answers(), encoder()) > 1.2 * earned(universal_everywhere(), encoder())

    def test_predictions_at_hand_are_used_when_time_ends_while_the_index_answers(
        self, place, ask, monkeypatch
    ):
        ask(FakeLLM())

        def none_left(_predictor, _rows, _predictions=None, *, clock):
            clock.stop()
            clock.check()

        monkeypatch.setattr(HybridPredictor, "predict", none_left)
        summary = run(place.request())
        assert summary.rules == {"not fitted": len(IDS)}
        assert list(place.answers().values()) == [texts[0] for texts in SAID]

    def test_predictions_at_hand_are_used_when_time_ends_while_it_fits(
        self, place, ask, monkeypatch
    ):
        llm = ask(FakeLLM())
        ended = PredictionJob(place.request())

        def fit(*_args, **_options):
            end = time.monotonic() + 5
            while len(llm.asked) < len(IDS) and time.monotonic() < end:
                time.sleep(0.01)
            ended._clock.stop()
            raise OutOfTimeError

        monkeypatch.setattr(HybridPredictor, "fit", fit)
        summary = ended.run()
        place.assert_valid()
        assert summary.with_llm >= len(IDS) - 1  # the last may still be on its way
        assert summary.rules["not fitted"] == summary.with_llm

    @pytest.mark.usefixtures("small_batches")
    def test_predictions_come_before_the_index(self, place, ask, monkeypatch):
        """A prediction that is there already is not put off until all rows have an answer."""
        asked = []
        predict = HybridPredictor.predict

        def spied(predictor, rows, predictions=None, *, clock):
            asked.append(predictions is not None and len(rows) > 0)
            time.sleep(0.01)
            return predict(predictor, rows, predictions, clock=clock)

        monkeypatch.setattr(HybridPredictor, "predict", spied)
        ask(FakeLLM(fails=IDS[-20:]))
        summary = run(place.request(calibrate=64))
        assert asked[0]
        assert summary.with_llm == len(IDS) - 20
        assert summary.by_index == 20


class TestSignal:
    @pytest.mark.usefixtures("small_batches")
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_it_ends_the_run_with_all_saved(self, place, ask, number):
        ask(FakeLLM())
        run(place.request("whole.csv", calibrate=64))
        released, sent = threading.Event(), []

        class Held(FakeLLM):
            def predict(self, *arguments, **options):
                for one in super().predict(*arguments, **options):
                    if self.asked[-1] == IDS[20]:
                        released.wait(20)
                    yield one

        ask(Held())
        before = signal.getsignal(number)

        def listen(what, done, _total):
            # A second signal would go where the first would have: one is enough.
            if what == "rows with a prediction" and done >= 8 and not sent:
                sent.append(os.kill(os.getpid(), number))

        summary = run(place.request(calibrate=64), listener=listen)
        released.set()
        assert sent
        assert signal.getsignal(number) is before
        place.assert_valid()
        assert 8 <= summary.with_llm <= 20
        assert summary.with_llm + summary.universal + summary.by_index == len(IDS)
        assert len(place.table()) == len(IDS)
        ask(FakeLLM())
        run(place.request(calibrate=64, resume=True))
        assert place.answers() == place.answers("whole.csv")

    def test_while_it_fits_it_is_not_taken_for_the_time_limit(self, place, ask):
        ask(FakeLLM())

        def listen(what, *_):
            if what == "texts" and not sent:
                sent.append(os.kill(os.getpid(), signal.SIGTERM))

        sent = []
        summary = run(place.request(), listener=listen)
        assert sent
        assert not any("time limit" in note for note in summary.notes)


class TestThreads:
    @staticmethod
    def left():
        return [thread for thread in threading.enumerate() if thread.name == "llm"]

    @pytest.mark.usefixtures("small_margin")
    @pytest.mark.parametrize("time_limit", [None, 1.5])
    def test_none_is_left_behind(self, place, ask, time_limit):
        ask(FakeLLM(seconds=0.1 if time_limit else 0))
        run(place.request(time_limit=time_limit))
        end = time.monotonic() + 5
        while self.left() and time.monotonic() < end:
            time.sleep(0.01)
        assert self.left() == []

    def test_after_a_failure_the_llm_is_asked_no_more(self, place, ask, monkeypatch):
        llm = ask(FakeLLM(seconds=0.05))

        def fail(*_args, **_options):
            raise RunError("enough")

        monkeypatch.setattr(HybridPredictor, "fit", fail)
        with pytest.raises(RunError, match="enough"):
            run(place.request())
        end = time.monotonic() + 5
        while self.left() and time.monotonic() < end:
            time.sleep(0.01)
        assert self.left() == []
        assert len(llm.asked) < len(IDS)


class TestResume:
    def test_a_finished_run_is_left_as_it_is(self, place, ask, loaded):
        ask(FakeLLM())
        run(place.request(calibrate=64))
        files = {path: path.read_bytes() for path in place.folder.rglob("*") if path.is_file()}
        loaded.clear()
        llm = ask(FakeLLM())
        summary = run(place.request(calibrate=64, resume=True))
        assert (loaded, llm.asked) == ([], [])
        assert summary.with_llm == len(IDS)
        assert files == {p: p.read_bytes() for p in place.folder.rglob("*") if p.is_file()}

    def test_rows_that_failed_are_asked_about_again(self, place, ask):
        ask(FakeLLM())
        run(place.request("whole.csv", calibrate=64))
        ask(FakeLLM(fails=IDS[::5]))
        assert run(place.request(calibrate=64)).faults == {"time-out": len(IDS[::5])}
        assert place.answers() != place.answers("whole.csv")
        llm = ask(FakeLLM())
        run(place.request(calibrate=64, resume=True))
        assert llm.asked[-len(IDS[::5]) :] == IDS[::5]
        assert place.answers() == place.answers("whole.csv")

    def test_a_torn_last_line_is_answered_again(self, place, ask):
        ask(None)
        run(place.request())
        whole = (place.folder / "out.csv").read_bytes()
        path = place.folder / "out.work" / "answers.jsonl"
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        (place.folder / "out.csv").unlink()
        run(place.request(resume=True))
        assert (place.folder / "out.csv").read_bytes() == whole
        lines = path.read_text().splitlines()
        assert sum(line.endswith("}") for line in lines) == len(IDS)

    def test_the_first_file_of_a_resumed_run_has_its_answers(self, place, ask, saves):
        ask(None)
        run(place.request())
        saves.clear()
        run(place.request(resume=True))
        assert saves[0] == place.answers()

    @pytest.mark.parametrize(
        ("name", "changes"),
        [
            ("test", {"test": "fewer"}),
            ("triples", {"triples": "fewer"}),
            ("universal", {"prompt": "make please"}),
            ("llm", {"llm": "other"}),
            ("shots", {"shots": 2}),
            ("calibrate", {"calibrate": 30}),
            ("model", {"model": "other"}),
            ("corpus", {"corpus": ("other.csv",)}),
            ("prefix", {"prefix": "please"}),
            ("suffix", {"suffix": "please"}),
            ("max_tokens", {"max_tokens": 9}),
            ("trials", {"trials": 2}),
            ("seed", {"seed": 1}),
        ],
    )
    def test_it_must_be_asked_the_same(self, place, ask, loaded, name, changes):
        ask(FakeLLM())
        run(place.request(time_limit=60))
        files = {path: path.read_bytes() for path in place.folder.rglob("*") if path.is_file()}
        loaded.clear()
        if name == "test":
            changes = {"test": write_rows(place.folder / "fewer", HIDDEN[1:])}
            changes["test"] = changes["test"].rename(place.folder / "fewer.jsonl")
        if name == "triples":
            few = write_rows(place.folder / "fewer.jsonl", KNOWN[1:], prompts=True)
            changes = {"triples": few}
        if name == "llm":
            ask(FakeLLM(name="other"))
            changes = {}
        with pytest.raises(InputError, match=rf"--resume must be .* has {name} .*, now it is "):
            run(place.request(resume=True, **changes))
        assert loaded == []
        assert all(path.read_bytes() == data for path, data in files.items())

    def test_time_limit_and_place_of_the_files_may_change(self, place, ask):
        ask(FakeLLM())
        defaults = {"shots": None, "calibrate": None}
        run(place.request(time_limit=0.5, **defaults))
        place.test = place.test.rename(place.folder / "moved.jsonl")
        summary = run(place.request(resume=True, **defaults))
        assert summary.with_llm == len(IDS)

    def test_what_a_model_or_a_corpus_is_may_not_change(self, place, ask, monkeypatch):
        ask(None)
        corpus = place.folder / "corpus.csv"
        corpus.write_text("prompt\nmake it style1\nmake it style2\n")
        few = {"corpus": (str(corpus),)}
        run(place.request(**few))
        answers = place.folder / "out.work" / "answers.jsonl"
        answers.write_bytes(b"".join(answers.read_bytes().splitlines(keepends=True)[:9]))
        corpus.write_text("prompt\nmake it style1\nmake it style3\n")
        with pytest.raises(InputError, match=r"has corpus hash '.*, now it is '"):
            run(place.request(resume=True, **few))
        corpus.write_text("prompt\nmake it style1\nmake it style2\n")
        monkeypatch.setattr(blend, "load_encoder", lambda _name, **_options: encoder(seed=1))
        with pytest.raises(InputError, match=r"has model found 'fake-0.*', now it is 'fake-1"):
            run(place.request(resume=True, **few))
        place.assert_valid()

    def test_a_first_command_with_a_mistake_can_be_mended(self, place, ask):
        ask(None)
        with pytest.raises(InputError, match="--prompt must have at most --max-tokens 1: found 2"):
            run(place.request(max_tokens=1))
        place.assert_valid()
        with pytest.raises(InputError, match=r"out\.csv and .*out\.work are there; give --resume"):
            run(place.request())
        summary = run(place.request(resume=True))
        assert summary.by_index == len(IDS)

    def test_there_may_be_nothing_to_go_on_with(self, place, ask):
        ask(None)
        summary = run(place.request(resume=True))
        assert summary.by_index == len(IDS)


class TestPlace:
    """Nothing that this run did not make is overwritten."""

    @pytest.mark.parametrize("resume", [False, True])
    @pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
    def test_what_is_there_is_left_alone(self, place, ask, name, resume):
        ask(None)
        (place.folder / name).write_text("precious")
        fault = "--resume must find whole work" if resume else "--out must be a new file"
        with pytest.raises(InputError, match=rf"{fault}: .*{name} is there"):
            run(place.request(resume=resume))
        assert (place.folder / name).read_text() == "precious"
        assert not (place.folder / "out.work").exists()

    def test_a_test_file_of_the_same_name_is_left_alone(self, place, ask):
        ask(None)
        parquet.write_table(arrow_json.read_json(place.test), place.folder / "out.parquet")
        place.test = place.folder / "out.parquet"
        data = place.test.read_bytes()
        with pytest.raises(InputError, match=r"--out must be a new file: .*out\.parquet is there"):
            run(place.request())
        assert place.test.read_bytes() == data

    def test_a_run_that_is_there_is_left_alone(self, place, ask):
        ask(None)
        run(place.request())
        files = {path: path.read_bytes() for path in place.folder.rglob("*") if path.is_file()}
        with pytest.raises(InputError, match=r"--out must be a new file: .*give --resume"):
            run(place.request())
        (place.folder / "out.csv").unlink()
        with pytest.raises(InputError, match=r"out\.work are there; give --resume"):
            run(place.request())
        del files[place.folder / "out.csv"]
        assert files == {p: p.read_bytes() for p in place.folder.rglob("*") if p.is_file()}

    @pytest.mark.parametrize("name", ["out.parquet", "out.work"])
    def test_the_submission_is_no_file_of_the_work(self, place, ask, name):
        ask(None)
        with pytest.raises(InputError, match=rf"--out must be a CSV file: .*{name}"):
            run(place.request(name))
        assert not (place.folder / name).exists()

    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ({"test": "gone.csv"}, r"gone\.csv is not there"),
            ({"triples": "gone.csv"}, r"gone\.csv is not there"),
            ({"triples": "test"}, "must have their true prompts in a column rewrite_prompt"),
            ({"prompt": " "}, "--prompt must be a string that is not blank"),
            ({"prompt": "null"}, "'null' is read as a missing value"),
            ({"prompt": "results/run7"}, "--prompt must be a string, .* nor folder results/run7"),
            ({"out": "gone/out.csv"}, "--out must be a file that can be written"),
        ],
    )
    def test_bad_input_leaves_nothing(self, place, ask, changes, fault):
        ask(None)
        before = sorted(place.folder.rglob("*"))
        [(name, value)] = changes.items()
        if name != "prompt":
            value = place.test if value == "test" else place.folder / value
        with pytest.raises(InputError, match=fault):
            run(place.request(**{name: value}))
        assert sorted(place.folder.rglob("*")) == before


class TestCalibration:
    def test_it_is_asked_about_known_rows_first(self, place, ask, monkeypatch):
        llm = ask(FakeLLM())
        fit = HybridPredictor.fit

        def spied(predictor, triples, predictions, **options):
            said = dict(zip(triples.rows.ids, predictions, strict=True))
            assert {name for name, texts in said.items() if texts} == set(llm.asked[:30])
            assert all(said[name] == WORLD.predictions[int(name[1:])] for name in llm.asked[:30])
            return fit(predictor, triples, predictions, **options)

        monkeypatch.setattr(HybridPredictor, "fit", spied)
        summary = run(place.request(calibrate=30))
        known = {WORLD.triples.rows.ids[row] for row in KNOWN}
        assert len(llm.asked) == 30 + len(IDS)
        assert set(llm.asked[:30]) <= known
        assert llm.asked[30:] == IDS
        assert any("(30 known rows have one)" in note for note in summary.notes)
        assert place.table()["trust"].null_count == 0
        said = dict(zip(IDS, (texts[0] for texts in SAID), strict=True))
        assert earned(place.answers(), encoder()) > 1.2 * earned(said, encoder())

    def test_too_few_known_rows_teach_nothing(self, place, ask):
        llm = ask(FakeLLM())
        summary = run(place.request(calibrate=LEAST_PREDICTED - 1))
        assert llm.asked == IDS
        assert f"fewer than {LEAST_PREDICTED} known rows: the LLM is trusted" in summary.notes
        assert list(place.answers().values()) == [texts[0] for texts in SAID]

    @pytest.mark.usefixtures("small_margin")
    def test_it_is_given_up_early_where_it_takes_too_long(self, place, ask):
        llm = ask(FakeLLM(seconds=0.05))
        summary = run(place.request(calibrate=54, time_limit=4))
        known = [name for name in llm.asked if name not in IDS]
        assert 0 < len(known) < LEAST_PREDICTED
        assert any("no time to ask the LLM about 24 known rows" in note for note in summary.notes)
        assert summary.with_llm > 8
        assert summary.seconds < 4

    def test_no_row_is_shown_its_own_prompt(self, place, ask):
        llm = ask(FakeLLM())
        run(place.request(calibrate=54, shots=2))
        prompts = dict(zip(WORLD.triples.rows.ids, WORLD.triples.prompts, strict=True))
        assert len(llm.asked) == 54 + len(IDS)
        for name, shown in zip(llm.asked, llm.shown, strict=True):
            assert len(shown) == 2
            assert len({example.prompt for example in shown}) == 2
            assert prompts[name] not in {example.prompt for example in shown}

    def test_defaults_depend_on_the_time_limit(self, place):
        given = place.request(shots=None, calibrate=None)
        assert (given.shots_used, given.calibrate_used) == (3, 64)
        short = place.request(shots=None, calibrate=None, time_limit=599)
        assert (short.shots_used, short.calibrate_used) == (0, 0)
        told = place.request(shots=2, calibrate=24, time_limit=30)
        assert (told.shots_used, told.calibrate_used) == (2, 24)


class TestRecorded:
    def test_columns_are_joined_on_ids(self, place):
        lines = place.test.read_text().splitlines(keepends=True)
        place.test.write_text("".join(reversed(lines)))
        summary = run(place.request(llm="column:said"))
        assert summary.with_llm == len(IDS)
        assert any("(54 known rows have one)" in note for note in summary.notes)
        place.assert_valid()
        assert list(place.answers()) == IDS[::-1]
        score = earned(place.answers(), encoder())
        said = dict(zip(IDS, (texts[0] for texts in SAID), strict=True))
        assert score > 1.2 * earned(said, encoder())

    def test_triples_without_the_column_leave_predictions_as_they_are(self, place):
        write_rows(place.triples, KNOWN, prompts=True)
        summary = run(place.request(llm="column:said"))
        assert any("has no such predictions" in note for note in summary.notes)
        assert list(place.answers().values()) == [texts[0] for texts in SAID]
        assert summary.kinds == {"prediction": len(IDS)}

    def test_rows_without_one_are_answered_by_the_index(self, place):
        rows = [json.loads(line) for line in place.test.read_text().splitlines()]
        for row in rows[:20]:
            row["said"] = ""
        place.test.write_text("".join(json.dumps(row) + "\n" for row in rows))
        summary = run(place.request(llm="column:said"))
        assert (summary.with_llm, summary.by_index) == (len(IDS) - 20, 20)
        assert summary.faults == {}

    def test_a_finished_run_with_rows_that_have_none_can_be_resumed(self, place):
        said = place.folder / "said.csv"
        lines = [f"{name},{texts[0]}\n" for name, texts in zip(IDS[9:], SAID[9:], strict=True)]
        said.write_text("id,prediction\n" + "".join(lines))
        run(place.request(llm=f"file:{said}"))
        whole = place.answers()
        journal = place.folder / "out.work" / "answers.jsonl"
        lines = journal.read_bytes()
        summary = run(place.request(llm=f"file:{said}", resume=True))
        assert (summary.with_llm, summary.by_index) == (len(IDS) - 9, 9)
        assert place.answers() == whole
        assert journal.read_bytes() == lines  # nothing was answered again

    def test_one_file_for_both_sides(self, place):
        said = place.folder / "said.csv"
        ids = [WORLD.triples.rows.ids[row] for row in [*KNOWN, *HIDDEN]]
        texts = [texts[0] for texts in [*WORLD.said(KNOWN), *SAID]]
        lines = [f"{name},{text}\n" for name, text in zip(ids, texts, strict=True)]
        said.write_text("id,prediction\n" + "".join(lines))
        run(place.request(llm=f"file:{said}"))
        run(place.request("column.csv", llm="column:said"))
        assert place.answers() == place.answers("column.csv")

    def test_a_test_rows_prediction_is_not_taken_for_that_of_a_known_row_with_its_id(self, place):
        """Where both files number their rows from 1, a file of predictions is the test file's."""
        for path in (place.test, place.triples):
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            named = [row | {"id": str(n)} for n, row in enumerate(rows, 1)]
            path.write_text("".join(json.dumps(row) + "\n" for row in named))
        said = place.folder / "said.csv"
        lines = [f"{n},{texts[0]}\n" for n, texts in enumerate(SAID, 1)]
        said.write_text("id,prediction\n" + "".join(lines))
        summary = run(place.request(llm=f"file:{said}"))
        assert any("54 known rows have the id of another test row" in n for n in summary.notes)
        assert list(place.answers().values()) == [texts[0] for texts in SAID]

    def test_predictions_of_other_rows_are_refused(self, place):
        said = place.folder / "said.csv"
        said.write_text("id,prediction\nx,make it\n")
        with pytest.raises(InputError, match="knows none of the 54 ids"):
            run(place.request(llm=f"file:{said}"))
        place.assert_valid()


class TestFaults:
    def test_they_are_counted_and_the_rows_keep_the_answer_of_the_index(self, place, ask):
        ask(None)
        run(place.request("index.csv"))
        ask(FakeLLM(fails=IDS[::3]))
        summary = run(place.request(calibrate=64))
        assert summary.faults == {"time-out": len(IDS[::3])}
        assert summary.with_llm == len(IDS) - len(IDS[::3])
        index, answers = place.answers("index.csv"), place.answers()
        assert all(answers[name] == index[name] for name in IDS[::3])

    def test_an_llm_that_fails_at_every_row_ends_nothing(self, place, ask):
        ask(None)
        run(place.request("index.csv"))
        ask(FakeLLM(fails=tuple(WORLD.triples.rows.ids)))
        summary = run(place.request(calibrate=64))
        assert summary.faults == {"time-out": len(IDS)}
        assert place.answers() == place.answers("index.csv")


class TestUniversalString:
    def test_a_string_is_itself(self):
        for text in ("make it", "and/or", "café 🦜", "x" * 5000, "a\0b", "see results/notes.txt",
                     "either / or / both", "", " ", "Make it formal."):  # fmt: skip
            assert universal_string(text) == text

    def test_a_run_is_its_best_string_byte_for_byte(self, tmp_path):
        (tmp_path / "best.txt").write_bytes("  café \n".encode())
        assert universal_string(str(tmp_path)) == "  café \n"

    def test_a_text_file_is_its_text(self, tmp_path, monkeypatch):
        (tmp_path / "best.txt").write_bytes(b"make it\r\n")
        assert universal_string(str(tmp_path / "best.txt")) == "make it"
        monkeypatch.setenv("HOME", str(tmp_path))
        assert universal_string("~/best.txt") == "make it"

    def test_other_files_are_strings_that_happen_to_be_names(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("poem").write_text("no")
        assert universal_string("poem") == "poem"

    @pytest.mark.parametrize("text", ["results/x", "./x", "../x", "/x/y", "a/b/c", "gone.txt"])
    def test_paths_to_nothing_are_refused(self, tmp_path, monkeypatch, text):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match=rf"--suffix must be .* nor folder {text}; mend"):
            universal_string(text, "--suffix")

    def test_runs_without_a_string_are_refused(self, tmp_path):
        with pytest.raises(InputError, match=r"--prompt must be .* has no best\.txt"):
            universal_string(str(tmp_path))
        (tmp_path / "best.txt").write_bytes(b"\xff")
        with pytest.raises(InputError, match=r"--prompt must be .* has no best\.txt"):
            universal_string(str(tmp_path))
        with pytest.raises(InputError, match=r"--prompt must be .*best\.txt cannot be read"):
            universal_string(str(tmp_path / "best.txt"))


def test_every_option_reaches_the_predictor(place, ask, monkeypatch):
    made = []
    init = HybridPredictor.__init__

    def spied(predictor, universal, **options):
        made.append((universal, options))
        init(predictor, universal, **options)

    monkeypatch.setattr(HybridPredictor, "__init__", spied)
    ask(None)
    (place.folder / "run").mkdir()
    (place.folder / "run" / "best.txt").write_text("please")
    (place.folder / "corpus.txt").write_text("make it style1\nmake it style2\n")
    request = place.request(
        prefix=str(place.folder / "run"),
        suffix="turn it",
        model="some",
        seed=5,
        trials=2,
        corpus=(str(place.folder / "corpus.txt"),),
    )
    run(request)
    [(universal, options)] = made
    assert universal == UNIVERSAL
    assert (options["prefixes"], options["suffixes"]) == (["please"], ["turn it"])
    assert (options["model"], options["seed"], options["trials"]) == ("some", 5, 2)
    assert options["max_tokens"] == 8
    assert options["corpus"].prompts == ("make it style1", "make it style2")


def test_summary_is_json(place, ask):
    ask(None)
    summary = run(place.request())
    told = json.loads(json.dumps(summary.as_dict()))
    assert told["out"] == str(place.folder / "out.csv")
    assert told["rows"] == len(IDS)
    assert told["kinds"] == summary.kinds
