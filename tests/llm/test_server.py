"""A real server, and every way in which one can fail."""

import contextlib
import socket
import threading
import time

import pytest

from mean_prompt.corpus import Rows
from mean_prompt.llm import server as llm_server
from mean_prompt.llm.options import LLMOptions
from mean_prompt.llm.server import ServerPredictor
from mean_prompt.system import Deadline, InputError
from tests.llm.chat_server import TRIGGER, misbehaving

OPTIONS = LLMOptions(max_new_tokens=6, timeout=20, retries=1)
#: The second row makes the proxy misbehave.
ROWS = Rows(
    ("a", "b", "c"),
    ("the story of a king", f"the tale of a {TRIGGER}", "a letter to the queen"),
    ("a poem", "a song", "a joke"),
)


@pytest.fixture(scope="module")
def proxy(chat_server):
    with misbehaving(chat_server) as proxy:
        yield proxy


@pytest.fixture
def asked(proxy, chat_folder):
    """Return what asks about the rows through the proxy: predictions by row, and the predictor."""

    def ask(fault, *, rows=ROWS, options=OPTIONS, deadline=None):
        predictor = ServerPredictor(str(chat_folder), proxy.url(fault), options)
        found = {one.row: one for one in predictor.predict(rows, deadline=deadline)}
        return found, predictor

    return ask


@pytest.fixture(scope="module")
def undisturbed(chat_server, chat_folder):
    predictor = ServerPredictor(str(chat_folder), chat_server, OPTIONS)
    return {one.row: one for one in predictor.predict(ROWS)}


def test_a_real_server_answers_every_row(undisturbed):
    assert sorted(undisturbed) == [0, 1, 2]
    assert all(one.texts and one.fault is None for one in undisturbed.values())
    assert len({one.texts for one in undisturbed.values()}) == 3


def test_samples_are_drawn_with_a_seed(chat_server, chat_folder):
    def predictions(seed):
        drawn = LLMOptions(max_new_tokens=6, samples=2, temperature=1.0, concurrency=1, seed=seed)
        predictor = ServerPredictor(str(chat_folder), chat_server, drawn)
        return [one.texts for one in predictor.predict(ROWS.take([0]))]

    first = predictions(0)
    assert len(first[0]) == 2
    assert predictions(0) == first
    assert predictions(1) != first


def test_a_refused_request_is_repeated(asked, proxy, undisturbed):
    found, predictor = asked("busy")
    assert found == undisturbed
    first, second = proxy.times["busy"]
    assert second - first >= 0.7
    assert predictor.notes()[1] == "predictions: 3 of 3 rows"


@pytest.mark.parametrize(
    ("fault", "message", "requests"),
    [
        ("broken", "server error: 500 ", 2),
        ("too-busy", "server busy: 429 ", 1),
        ("too-long", "refused: 400 ", 1),
        ("empty", "empty answer", 1),
        ("garbage", "broken answer: ", 1),
        ("cut-off", "no connection: ", 1),
    ],
)
def test_a_row_that_fails_ends_no_other(asked, proxy, undisturbed, fault, message, requests):
    found, predictor = asked(fault)
    assert found[1].fault.startswith(message)
    assert found[1].texts == ()
    assert (found[0], found[2]) == (undisturbed[0], undisturbed[2])
    assert len(proxy.times[fault]) == requests
    assert f"faults: {message.partition(':')[0]} 1" in predictor.notes()


@pytest.mark.parametrize("fault", ["hang", "endless-blank"])
def test_an_answer_that_does_not_come_is_timed_out(asked, undisturbed, fault):
    options = LLMOptions(max_new_tokens=6, timeout=1, retries=0)
    found, _ = asked(fault, options=options)
    assert found[1].fault == "time-out: no whole answer within 1 s"
    assert (found[0], found[2]) == (undisturbed[0], undisturbed[2])


def test_an_endless_answer_is_abandoned(asked, undisturbed):
    found, predictor = asked("endless")
    assert found[1].texts[0].startswith("Rewrite it as a sea shanty, and then again. Rewrite it")
    assert len(found[1].texts[0]) <= OPTIONS.max_new_tokens * 16
    assert found[0] == undisturbed[0]
    # The tiny model's own answers do not end either.
    assert predictor.notes()[-1] == "answers cut at the length limit: 3"


def test_open_requests_are_dropped_at_the_deadline(proxy, chat_folder):
    deadline = Deadline()
    predictor = ServerPredictor(str(chat_folder), proxy.url("hang"), OPTIONS)
    predictions = predictor.predict(ROWS, deadline=deadline)
    assert {next(predictions).row, next(predictions).row} == {0, 2}
    deadline.stop()
    start = time.monotonic()
    assert list(predictions) == []
    assert time.monotonic() - start < 2


def test_leaving_early_ends_the_requests(proxy, chat_folder):
    predictor = ServerPredictor(str(chat_folder), proxy.url("hang"), OPTIONS)
    threads = threading.active_count()
    predictions = predictor.predict(ROWS)
    assert next(predictions).row in {0, 2}
    start = time.monotonic()
    predictions.close()
    assert time.monotonic() - start < 1
    # One more is the proxy's that hangs.
    while threading.active_count() > threads + 1:
        assert time.monotonic() < start + 5
        time.sleep(0.02)


def test_no_more_requests_at_once_than_allowed(asked, proxy):
    one_by_one = LLMOptions(max_new_tokens=6, concurrency=1)
    rows = Rows(tuple("abc"), (TRIGGER,) * 3, ("x", "y", "z"))
    times = proxy.times.setdefault("hang", [])
    before = len(times)
    # Expired as soon as a request has arrived.
    deadline = Deadline(1, started=before, clock=lambda: len(times))
    found, _ = asked("hang", rows=rows, options=one_by_one, deadline=deadline)
    assert found == {}
    assert len(times) == before + 1


def test_an_address_where_nothing_answers_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}/v1"
        options = LLMOptions(retries=1)
        predictor = ServerPredictor("m", f"http://me:secret@{address}?key=secret", options)
        with pytest.raises(InputError, match=f"reached: http://{address} gave no conn") as caught:
            list(predictor.predict(ROWS))
    assert "secret" not in str(caught.value) + predictor.identity + str(predictor.notes())


def test_an_address_that_swallows_requests_is_named():
    with socket.socket() as deaf, contextlib.ExitStack() as stack:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):  # more than its queue holds: later ones are not even refused
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/v1"
        predictor = ServerPredictor("m", url, LLMOptions(retries=0, timeout=0.6))
        with pytest.raises(InputError, match="gave no connection: "):
            list(predictor.predict(ROWS))


@pytest.mark.parametrize(
    ("fault", "message"),
    [("unknown", "404 for the model 'm'.*fix the name"), ("locked", "answered 401; set OPENAI_")],
)
def test_a_wrong_model_or_key_ends_the_run_with_a_remedy(proxy, fault, message):
    predictor = ServerPredictor("m", proxy.url(fault), OPTIONS)
    with pytest.raises(InputError, match=message):
        list(predictor.predict(ROWS.take([1])))


@pytest.mark.parametrize("url", ["ftp://host/v1", "http://", "http://host:port/v1"])
def test_an_address_must_be_one(url):
    with pytest.raises(InputError, match="such as http://localhost:8000/v1"):
        ServerPredictor("m", url)


def test_the_package_is_asked_for_by_name(monkeypatch):
    monkeypatch.setattr(llm_server, "find_spec", lambda _name: None)
    with pytest.raises(InputError, match=r"run: pip install 'mean-prompt\[openai\]'"):
        ServerPredictor("m", "http://localhost/v1")
