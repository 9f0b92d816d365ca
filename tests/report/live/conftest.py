"""A run's folder as a search leaves it, and servers that end with their tests."""

import json
import os
import signal
import threading
import time
from contextlib import contextmanager

import pytest

from mean_prompt.report.live.follow import Follower
from mean_prompt.report.live.place import has_server, last_server
from mean_prompt.report.live.server import LiveServer
from mean_prompt.report.page.page import Parts
from mean_prompt.runs.folder import RunFolder
from mean_prompt.system.address import Address

POLICY = "default-src 'none'"
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


def wait_until(is_so, seconds=20.0):
    """Wait until something is so, and fail where it is not in time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def read(run):
    """Make parts of a run: its events, as they are."""
    lines = (run / "events.jsonl").read_text("utf-8")
    return parts_of(events=lines)


def parts_of(**sections):
    headings = dict.fromkeys(["status", *sections], "")
    return Parts("a run", headings, sections, {"scores": {"data": []}})


def render(parts):
    return "<!doctype html>" + "".join(parts.sections.values())


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
        server = LiveServer(bound, address, Follower(folder, read, parts_of()), render, POLICY)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def kill_server():
    """Return a function that kills a run's server, or does so when the test ends."""
    runs = []

    def kill(run, *, later=False):
        if later:
            runs.append(run)
        elif has_server(run):
            os.kill(last_server(run).pid, signal.SIGKILL)
            wait_until(lambda: not has_server(run))

    yield kill
    for run in runs:
        kill(run)
