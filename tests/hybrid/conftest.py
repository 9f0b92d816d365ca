"""What the tests of hybrid predictions share."""

import pytest
import torch
from threadpoolctl import threadpool_limits

from mean_prompt.hybrid import job, options as blend
from mean_prompt.hybrid.submission import Submission
from tests.hybrid.prediction_run import FakeLLM, Place, run
from tests.hybrid.synthetic import encoder


@pytest.fixture(scope="module")
def one_thread():
    """Run products in one thread: tiny ones are over before a second one wakes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):  # numpy's, scikit-learn's and FAISS's
        yield
    torch.set_num_threads(threads)


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


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The submission of a run that nothing happened to."""
    place = Place(tmp_path_factory.mktemp("undisturbed"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blend, "load_encoder", lambda _name, **_options: encoder())
        patch.setattr(job, "make_predictor", lambda *_args, **_options: FakeLLM())
        run(place.request("whole.csv", calibrate=64))
    return (place.folder / "whole.csv").read_bytes()
