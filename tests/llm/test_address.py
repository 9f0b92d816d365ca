"""A server's credentials reach the server, and nothing else."""

import base64
import logging
import traceback
from urllib.parse import parse_qs, urlsplit

import httpcore2
import pytest

from mean_prompt.corpus import Rows
from mean_prompt.llm.address import ServerAddress
from mean_prompt.llm.cache import CachedPredictor
from mean_prompt.llm.factory import make_predictor
from mean_prompt.llm.options import LLMOptions
from mean_prompt.llm.server import ServerPredictor
from mean_prompt.system import InputError
from tests.llm.chat_server import TRIGGER, misbehaving

PASSWORD, KEY, TOKEN = "p:Tr0ub/4dor", "sk-Zebra", "Qu0kka"
SECRETS = (PASSWORD, "Tr0ub", KEY, TOKEN, base64.b64encode(f"me:{PASSWORD}".encode()).decode())
ROWS = Rows(("a",), (TRIGGER,), ("a poem",))
PATH = "/echo/v1/chat/completions"


@pytest.fixture
def server():
    """A server that answers with its status, and repeats what it was sent; a list of requests."""
    with misbehaving("http://unused") as proxy:
        yield proxy


@pytest.fixture
def url(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    address = server.url("echo").removeprefix("http://")
    return f"http://me:p%3ATr0ub%2F4dor@{address}/?api_key={TOKEN}&x=1#f"


def assert_hidden(*shown):
    for secret in SECRETS:
        assert secret not in " ".join(map(str, shown))


def test_user_password_and_query_reach_the_server(server, url):
    list(ServerPredictor("m", url, LLMOptions(retries=0)).predict(ROWS))
    [(path, authorization)] = server.requests
    assert urlsplit(path).path == PATH
    assert parse_qs(urlsplit(path).query) == {"api_key": [TOKEN], "x": ["1"]}
    assert authorization == f"Basic {base64.b64encode(f'me:{PASSWORD}'.encode()).decode()}"


def test_without_a_user_the_key_does(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")  # as a file of secrets has it
    list(ServerPredictor("m", server.url("echo"), LLMOptions(retries=0)).predict(ROWS))
    assert server.requests == [(PATH, f"Bearer {KEY}")]


@pytest.mark.parametrize("status", [401, 404, 418, 500])
def test_no_refusal_reveals_them(server, url, status, caplog):
    caplog.set_level(logging.DEBUG)
    server.status = status
    predictor = ServerPredictor("m", url, LLMOptions(retries=0))
    shown = [repr(predictor), predictor.identity]
    try:
        shown += list(predictor.predict(ROWS))
    except InputError as error:
        shown += traceback.format_exception(error)
    assert server.requests
    assert_hidden(*shown, predictor.notes(), predictor._address, caplog.text)
    assert f"{PATH}?" in caplog.text  # the libraries did log the URL


@pytest.mark.parametrize("key", ["sk-Zebra\nx", "sk-Zebra\x00", "sk-Zébra", "sk-Zebra\udcff"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(url, monkeypatch, key):
    monkeypatch.setattr("os.environ", {"OPENAI_API_KEY": key})
    with pytest.raises(
        InputError, match=r"OPENAI_API_KEY must be printable ASCII: character \d"
    ) as e:
        ServerPredictor("m", url)
    assert_hidden(e.value)


def test_a_lost_connection_does_not_reveal_them(monkeypatch, url):
    """Whatever the library below writes about it."""

    async def lose(*_args, **_options):
        raise httpcore2.ConnectError(f"lost {KEY} {PASSWORD} {TOKEN}")

    monkeypatch.setattr("httpcore2.AsyncConnectionPool.handle_async_request", lose)
    with pytest.raises(InputError) as caught:
        list(ServerPredictor("m", url, LLMOptions(retries=0)).predict(ROWS))
    assert_hidden(*traceback.format_exception(caught.value))


def test_what_is_kept_of_predictions_is_under_an_address_without_them(url, tmp_path):
    cached = CachedPredictor(ServerPredictor("m", url), tmp_path)
    list(cached.predict(ROWS))
    assert_hidden(cached.identity, cached.path, cached.notes())
    for path in cached.path.parent.iterdir():
        assert_hidden(path.read_bytes())


@pytest.mark.parametrize(
    "spec",
    [
        f"server:m@http://me:{PASSWORD}@http://host/v1",
        f"server:m@ftp://me:{PASSWORD}@host/v1",
        f"server:m@http://me:{PASSWORD}@[host/v1",
        f"server:m@http://me:{PASSWORD}@host\x1b/v1",
        f"sever:m@http://me:{PASSWORD}@host/v1",
        f"transformers:http://me:{PASSWORD}@host/m",
    ],
)
def test_no_spelling_mistake_reveals_them(spec):
    with pytest.raises(InputError) as caught:
        make_predictor(spec)
    assert_hidden(*traceback.format_exception(caught.value.with_traceback(None)))


def test_an_address_shows_what_is_no_secret():
    address = ServerAddress("https://me@[::1]:8000/v1/?key=x")
    assert repr(address) == "ServerAddress('https://[::1]:8000/v1')"
    assert ServerAddress("http://HOST/v1").headers() == {}
