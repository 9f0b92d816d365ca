"""Fixtures of all tests: no hub, caches of their own, and models that are loaded once."""

import os
import socket
import sys

# Before anything imports huggingface_hub, which reads it once.
os.environ["HF_HUB_OFFLINE"] = "1"
# Before torch reads it: test processes run side by side, and threads of small models wait for each
# other far longer than they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A search has one climber, in the test's own process, unless the test asks for more: the others
# take ten seconds of a core to begin.
os.environ["LOKY_MAX_CPU_COUNT"] = "1"

import joblib
import pytest

from mean_prompt import cli
from mean_prompt.encoder.loading import load_encoder
from tests.browser import browser  # noqa: F401 - a fixture for all
from tests.disks import closed_disk, full_disk  # noqa: F401 - fixtures for all

#: Modules that take longest, in this order, as ``--durations`` showed them. They begin first: each
#: runs in one process, and one that begins last would leave the other processes idle. `make quick`
#: leaves them out, and the tests of other modules that need the real model or are marked as slow.
LONGEST = (
    "tests/system/test_ray_placement.py",
    "tests/runs/test_climbers.py",
    "tests/report/explore/test_explore.py",
    "tests/report/live/test_page.py",
    "tests/runs/test_resume.py",
    "tests/corpus/vectors/test_cluster.py",
    "tests/cli/test_predict.py",
    "tests/runs/test_session.py",
    "tests/hybrid/test_evaluation.py",
    "tests/report/progress/test_notebook.py",
    "tests/hybrid/test_job_interrupted.py",
    "tests/test_wheel.py",
    "tests/report/test_in_browser.py",
    "tests/report/test_hybrid_in_browser.py",
    "tests/report/test_views.py",
    "tests/runs/test_affix_session.py",
    "tests/report/test_affix_report.py",
)


def pytest_xdist_auto_num_workers():
    """Return one process more than there are cores: some tests wait for other processes."""
    return joblib.cpu_count() + 1


def pytest_configure(config):
    """Let processes take modules in the order below; pytest-xdist's begins with most tests."""
    if config.pluginmanager.hasplugin("xdist"):
        config.option.loadscopereorder = False


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Put the longest modules first; mark them, and tests of the real model, as slow."""
    rank = {name: number for number, name in enumerate(LONGEST)}

    def place(item):
        return rank.get(item.nodeid.partition("::")[0], len(rank))

    items.sort(key=place)
    for item in items:
        if place(item) < len(rank) or "minilm" in item.fixturenames:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def environment(tmp_path_factory):
    """Replace the user's caches of vectors and of models by empty ones."""
    from huggingface_hub import constants

    os.environ.setdefault("MEAN_PROMPT_TEST_HUB", constants.HF_HUB_CACHE)
    models = str(tmp_path_factory.mktemp("hub"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEAN_PROMPT_CACHE", str(_shared(tmp_path_factory) / "cache"))
        patch.setenv("HF_HUB_CACHE", models)
        patch.setattr(constants, "HF_HUB_CACHE", models)
        yield


def _shared(tmp_path_factory):
    """Return a folder that all test processes share, so that each string is embedded once."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture
def program(monkeypatch, capsys):
    """Return a function that runs the program in this process: exit code, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mean-prompt", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        said = capsys.readouterr()
        return exit_.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def taken():
    """A port of this machine that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        yield bound.getsockname()[1]


@pytest.fixture(scope="session")
def minilm():
    """The packaged all-MiniLM-L6-v2: a real model, for tests of meaning."""
    return load_encoder("all-MiniLM-L6-v2", device="cpu")


@pytest.fixture(scope="session")
def tiny_t5_folder(tmp_path_factory):
    """The folder of a saved model of sentence-t5's shape."""
    from tests.tiny_models import save_tiny_t5

    return save_tiny_t5(tmp_path_factory.mktemp("models") / "tiny-t5")


@pytest.fixture(scope="session")
def tiny_t5(tiny_t5_folder):
    """The model of that folder."""
    return load_encoder(str(tiny_t5_folder), device="cpu")


@pytest.fixture(scope="session")
def tiny_bert_folder(tmp_path_factory):
    """The folder of a saved model of MiniLM's shape."""
    from tests.tiny_models import save_tiny_bert

    return save_tiny_bert(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="session")
def tiny_bert(tiny_bert_folder):
    """The model of that folder."""
    return load_encoder(str(tiny_bert_folder), device="cpu")
