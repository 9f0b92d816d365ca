"""Chat models and a server that the tests of predictors share."""

import pytest
import torch
from threadpoolctl import threadpool_limits

from tests.llm.chat_server import serving
from tests.llm.tiny_chat import save_tiny_chat


@pytest.fixture(scope="module")
def one_thread():
    """Run products in one thread: tiny ones are over before a second one wakes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):  # numpy's, scikit-learn's and FAISS's
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def chat_folder(tmp_path_factory):
    """The folder of a tiny chat model."""
    return save_tiny_chat(tmp_path_factory.mktemp("chat") / "tiny-chat")


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory):
    """The folder of a tiny model without a chat template."""
    return save_tiny_chat(tmp_path_factory.mktemp("chat") / "tiny-base", template=None)


@pytest.fixture(scope="session")
def chat_server(chat_folder, tmp_path_factory):
    """A real OpenAI-compatible server of the tiny chat model: the URL of its API."""
    with serving(chat_folder, tmp_path_factory.mktemp("server")) as url:
        yield url
