"""Chat models and a server that the tests of predictors share."""

import pytest

from tests.llm.chat_server import serving
from tests.llm.tiny_chat import save_tiny_chat


@pytest.fixture(scope="session")
def chat_folder(tmp_path_factory):
    """The folder of a tiny chat model."""
    return save_tiny_chat(tmp_path_factory.mktemp("chat") / "tiny-chat")


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory):
    """The folder of a tiny model without a chat template."""
    return save_tiny_chat(tmp_path_factory.mktemp("chat") / "tiny-base", template=None)


@pytest.fixture(scope="session")
def chat_server(chat_folder):
    """A real OpenAI-compatible server of the tiny chat model: the URL of its API."""
    with serving(chat_folder) as url:
        yield url
