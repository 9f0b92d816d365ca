"""A prediction run that ends early: the submission is whole, and the run can be resumed."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from mean_prompt.encoder.space import EmbeddingSpace
from mean_prompt.hybrid import job, options as blend
from mean_prompt.hybrid.job import PredictionJob
from mean_prompt.hybrid.predictor import HybridPredictor
from mean_prompt.hybrid.submission import Submission
from mean_prompt.system.deadline import OutOfTimeError
from mean_prompt.system.errors import InputError
from tests.hybrid.prediction_run import (
    HIDDEN,
    IDS,
    KNOWN,
    SAID,
    WORLD,
    FakeLLM,
    earned,
    run,
    universal_everywhere,
    write_rows,
)
from tests.hybrid.synthetic import UNIVERSAL, encoder

pytestmark = pytest.mark.usefixtures("one_thread")


class TestCrash:
    """An exception from anywhere leaves a valid file, from which --resume goes on."""

    @staticmethod
    def assert_whole_and_resumable(place, ask, undisturbed):
        place.assert_valid()
        ask(FakeLLM())
        run(place.request(calibrate=64, resume=True))
        assert place.path().read_bytes() == undisturbed
        assert len(place.table()) == len(IDS)

    @pytest.mark.usefixtures("small_batches")
    @pytest.mark.parametrize("after", [2, 7], ids=["as it fits", "as it answers"])
    def test_of_the_encoder(self, place, ask, undisturbed, monkeypatch, after):
        calls = iter(range(10**6))
        tokens = EmbeddingSpace.tokens

        def broken(space, texts):
            if next(calls) == after:
                raise MemoryError("the encoder broke")
            return tokens(space, texts)

        ask(FakeLLM())
        with monkeypatch.context() as patch:
            patch.setattr(EmbeddingSpace, "tokens", broken)
            with pytest.raises(MemoryError, match="the encoder broke"):
                run(place.request(calibrate=64))
        self.assert_whole_and_resumable(place, ask, undisturbed)

    @pytest.mark.usefixtures("small_batches")
    def test_of_the_llm_at_the_test_rows(self, place, ask, undisturbed):
        ask(FakeLLM(seconds=0.002, breaks=(IDS[30], RuntimeError)))
        with pytest.raises(RuntimeError, match="the LLM broke"):
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
    @pytest.mark.parametrize("after", [1, 3])
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

    def test_a_slow_llm_improves_the_rows_that_fit(self, place, ask):
        indexed, ended = threading.Event(), threading.Event()

        class Slow(FakeLLM):
            def predict(self, *arguments, **options):
                for number, one in enumerate(super().predict(*arguments, **options)):
                    waits = {20: indexed, 30: ended}
                    if number in waits:
                        waits[number].wait(20)
                    yield one

        def listen(event):
            if event.phase == "rows by the index":
                indexed.set()
            elif event.phase == "rows with a prediction" and indexed.is_set():
                running.deadline.stop()

        ask(Slow())
        running = PredictionJob(place.request(time_limit=600), listener=listen)
        summary = running.run()
        ended.set()
        place.assert_valid()
        assert 20 < summary.with_llm <= 30
        assert summary.with_llm + summary.by_index == len(IDS)
        said = dict(zip(IDS, (texts[0] for texts in SAID), strict=True))
        answers = place.answers()
        predicted = [row["id"] for row in place.table().to_pylist() if row["with_llm"]]
        assert predicted == IDS[: summary.with_llm]
        assert all(answers[name] == said[name] for name in predicted)

    @pytest.mark.usefixtures("small_batches")
    def test_rows_without_time_keep_the_universal_string_until_there_is(
        self, place, ask, monkeypatch
    ):
        ask(None)
        run(place.request("whole.csv"))
        predict, calls = HybridPredictor.predict, iter(range(100))

        def slow(predictor, rows, *arguments, deadline):
            if next(calls) == 3:
                deadline.stop()
            deadline.check()
            return predict(predictor, rows, *arguments, deadline=deadline)

        with monkeypatch.context() as patch:
            patch.setattr(HybridPredictor, "predict", slow)
            summary = run(place.request())
        place.assert_valid()
        assert (summary.by_index, summary.universal) == (24, len(IDS) - 24)
        assert summary.rules == {"no time": summary.universal}
        whole, answers = place.answers("whole.csv"), place.answers()
        done = [row["id"] for row in place.table().to_pylist() if row["rule"] != "no time"]
        assert done == IDS[:24]
        assert all(answers[name] == (whole[name] if name in done else UNIVERSAL) for name in IDS)
        run(place.request(resume=True))
        assert place.answers() == whole

    def test_without_time_to_fit_predictions_stand_until_there_is(
        self, place, ask, undisturbed, monkeypatch
    ):
        ask(FakeLLM())
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
        assert place.path().read_bytes() == undisturbed

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

        def none_left(_predictor, _rows, _predictions=None, *, deadline):
            deadline.stop()
            deadline.check()

        monkeypatch.setattr(HybridPredictor, "predict", none_left)
        summary = run(place.request())
        assert summary.rules == {"not fitted": len(IDS)}
        assert list(place.answers().values()) == [texts[0] for texts in SAID]

    @pytest.mark.usefixtures("small_batches")
    def test_predictions_come_before_the_index(self, place, ask, monkeypatch):
        """A prediction that is there already is not put off until all rows have an answer."""
        asked = []
        predict = HybridPredictor.predict

        def spied(predictor, rows, predictions=None, *, deadline):
            asked.append(predictions is not None and len(rows) > 0)
            time.sleep(0.01)
            return predict(predictor, rows, predictions, deadline=deadline)

        monkeypatch.setattr(HybridPredictor, "predict", spied)
        ask(FakeLLM(fails=IDS[-20:]))
        summary = run(place.request(calibrate=64))
        assert asked[0]
        assert summary.with_llm == len(IDS) - 20
        assert summary.by_index == 20


class TestSignal:
    @pytest.mark.usefixtures("small_batches")
    def test_it_ends_the_run_with_all_saved(self, place, ask, undisturbed):
        number = signal.SIGTERM
        released, sent = threading.Event(), []

        class Held(FakeLLM):
            def predict(self, *arguments, **options):
                for one in super().predict(*arguments, **options):
                    if self.asked[-1] == IDS[20]:
                        released.wait(20)
                    yield one

        ask(Held())
        before = signal.getsignal(number)

        def listen(event):
            # A second signal would go where the first would have: one is enough.
            if event.phase == "rows with a prediction" and event.done >= 8 and not sent:
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
        assert place.path().read_bytes() == undisturbed

    def test_while_it_fits_it_is_not_taken_for_the_time_limit(self, place, ask):
        ask(FakeLLM())

        def listen(event):
            if event.phase == "embedding texts" and not sent:
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
    @pytest.mark.parametrize("time_limit", [None, 1.0])
    def test_none_is_left_behind(self, place, ask, time_limit):
        ask(FakeLLM(seconds=0.1 if time_limit else 0))
        run(place.request(time_limit=time_limit))
        end = time.monotonic() + 5
        while self.left() and time.monotonic() < end:
            time.sleep(0.01)
        assert self.left() == []


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

    def test_rows_that_failed_are_asked_about_again(self, place, ask, undisturbed):
        ask(FakeLLM(fails=IDS[::5]))
        assert run(place.request(calibrate=64)).faults == {"time-out": len(IDS[::5])}
        assert place.path().read_bytes() != undisturbed
        llm = ask(FakeLLM())
        run(place.request(calibrate=64, resume=True))
        assert llm.asked[-len(IDS[::5]) :] == IDS[::5]
        assert place.path().read_bytes() == undisturbed

    def test_it_must_be_asked_the_same(self, place, ask, loaded):
        ask(FakeLLM())
        run(place.request(time_limit=60))
        files = {path: path.read_bytes() for path in place.folder.rglob("*") if path.is_file()}
        loaded.clear()
        few = {
            "test": write_rows(place.folder / "few.jsonl", HIDDEN[1:]),
            "triples": write_rows(place.folder / "fewer.jsonl", KNOWN[1:], prompts=True),
        }
        other = {"universal": {"prompt": "turn it"}, "llm": {}, "shots": {"shots": 1},
                 "calibrate": {"calibrate": 30}, "model": {"model": "x"},
                 "corpus": {"corpus": ("x",)}, "prefix": {"prefix": "please"},
                 "suffix": {"suffix": "please"}, "max_tokens": {"max_tokens": 9},
                 "trials": {"trials": 2}, "seed": {"seed": 1}, "vector": {"vector": Path("x")},
                 "row_search": {"row_search": 100}}  # fmt: skip
        for name, changes in (other | {name: {name: path} for name, path in few.items()}).items():
            ask(FakeLLM(name="other" if name == "llm" else "fake"))
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

    def test_a_first_command_with_a_mistake_can_be_fixed(self, place, ask):
        ask(None)
        with pytest.raises(InputError, match="--prompt must have at most --max-tokens 1: found 2"):
            run(place.request(max_tokens=1))
        place.assert_valid()
        with pytest.raises(InputError, match=r"out\.csv and .*out\.work are there; give --resume"):
            run(place.request())
        summary = run(place.request(resume=True))
        assert summary.by_index == len(IDS)
