"""A run's folder as a search leaves it, and servers that end with their tests."""

import json
import threading
from contextlib import contextmanager

import pytest

from mean_prompt.cli import live_page
from mean_prompt.report.live.follow import Follower
from mean_prompt.report.live.server import LiveServer
from mean_prompt.report.page.page import PageParts
from mean_prompt.runs.folder import RunFolder
from mean_prompt.system.address import Address

LOOPBACK = Address()


def best(text, score=0.1):
    """Return an event of a better string."""
    return {
        "event": "best",
        "time": 1.5,
        "evaluations": 10,
        "trial": 0,
        "score": score,
        "fraction": score / 0.2,
        "text": text,
        "holdout": None,
        "move": "replace",
    }


def parts_of(**sections):
    headings = dict.fromkeys(["status", *sections], "")
    return PageParts("a run", headings, sections, {"scores": {"data": []}})


def read(run):
    """Make parts of a run: its events, as they are."""
    return parts_of(events=(run / "events.jsonl").read_text("utf-8"))


@pytest.fixture
def folder(tmp_path):
    """The folder of a run that nobody works in, with one event."""
    path = tmp_path / "run"
    path.mkdir()
    (path / "recipe.toml").write_text("")
    (path / "events.jsonl").write_text(json.dumps(best("a first string")) + "\n")
    return path


@pytest.fixture
def search_of(folder):
    """Return a context in which a search works in the run's folder."""

    @contextmanager
    def working():
        run = RunFolder(folder, resume=True)
        try:
            yield run
        finally:
            run.close()

    return working


@pytest.fixture
def serve(folder):
    """Return a function that serves the run in this process."""
    servers = []

    def start(address=LOOPBACK, read=read):
        address, bound = address.listen()
        server = LiveServer(bound, address, Follower(folder, read))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def kill_servers():
    """Kill every server that a search has started, at the end of the test or before."""

    def kill():
        for process in live_page._SERVERS:
            process.kill()
            process.wait()
        live_page._SERVERS.clear()

    yield kill
    kill()
