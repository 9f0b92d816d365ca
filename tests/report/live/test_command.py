"""``search --live`` and ``live``: what they are given, and what they print."""

import os
import subprocess
import sys
import urllib.request

import pytest

from mean_prompt import api
from mean_prompt.cli import live_page
from mean_prompt.report.live.place import running_server
from mean_prompt.runs.folder import RunFolder
from mean_prompt.runs.progress import SearchProgress
from mean_prompt.runs.recipe import Recipe
from mean_prompt.runs.result import SearchResult


@pytest.fixture
def searches(tmp_path, monkeypatch, kill_servers):  # noqa: ARG001 - kills what is started
    """Put a search in place of the real one that is over at once; its runs' folders."""
    runs = []
    monkeypatch.chdir(tmp_path)

    def search(_corpus, *, out, listener, resume, **_asked):
        runs.append(out)
        if not resume:
            folder = RunFolder(out)
            folder.write_recipe(Recipe())
            folder.close()
            listener(SearchProgress("loaded", 0, 1, notes=("a note",)))
        return SearchResult(
            string="found", tokens=1, model_tokens=2, score=0.1, train_score=0.1,
            holdout_score=None, holdout_interval=None, ceiling=0.2, fraction=0.5, baselines=(),
            evaluations=1, seconds=1.0, search_seconds=1.0, stopped=False, out=out, details={},
        )  # fmt: skip

    monkeypatch.setattr(api, "search", search)
    return runs


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("http://localhost", "--live-at must be HOST:PORT, or a port"),
        ("192.0.2.1:80", "--live-at must be an address that is free here: 192.0.2.1, port 80"),
    ],
)
def test_what_cannot_be_listened_at_ends_in_one_line(program, searches, given, said):
    code, out, err = program("search", "--live-at", given)
    assert (code, out) == (2, "")
    assert err.startswith(f"mean-prompt: {said}")
    assert err.count("\n") == 1
    assert searches == []


def test_a_taken_port_ends_in_one_line(program, searches, taken):
    code, _out, err = program("search", "--live-at", taken, "--out", "run")
    assert code == 2
    assert f"127.0.0.1, port {taken} is taken" in err
    assert searches == []


def test_the_page_is_served_by_a_process_that_outlives_the_search(program, searches, tmp_path):
    code, out, err = program("search", "--live-at", "0.0.0.0", "--out", "run", "--quiet")
    server = running_server(tmp_path / "run")
    url = f"http://127.0.0.1:{server.address.port}/"
    assert (code, out) == (0, "found\n")
    assert err.splitlines() == [
        "the page is open to everyone who reaches 0.0.0.0",
        f"live page: {url}",
        f"live page: {url} stays until it was not open for 5m",
    ]
    # Ctrl-C in this terminal does not reach it, and it gives way to the search.
    assert os.getsid(server.pid) != os.getsid(0)
    assert os.getpriority(os.PRIO_PROCESS, server.pid) > os.getpriority(os.PRIO_PROCESS, 0)
    assert b"nothing was found yet" in urllib.request.urlopen(url).read()
    assert (tmp_path / "run" / "live" / "log.txt").read_text() == ""

    # A search that goes on has the same page, and one elsewhere is refused.
    code, _, err = program("search", "--resume", "run", "--live")
    assert code == 0
    assert err.splitlines()[0] == f"live page: {url}"
    code, _, err = program("search", "--resume", "run", "--live-at", "127.0.0.1")
    assert code == 2
    assert f"that of run is at {url} already; leave --live-at out, or end process" in err
    assert len(searches) == 2
    code, out, err = program("live", "run")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"is at {url}, served by process {server.pid}" in err


def test_a_page_that_cannot_start_does_not_end_the_search(program, searches, monkeypatch):
    monkeypatch.setattr(live_page.sys, "executable", "/bin/false")
    code, _, err = program("search", "--live", "--out", "run")
    assert code == 0
    assert "the live page cannot start: no reason was given; see " in err
    assert searches


def test_a_server_loads_neither_model_nor_study(folder):
    code = """
import sys
from pathlib import Path
from mean_prompt.cli.app import app
from mean_prompt.report import live_server
from mean_prompt.system import Address
with live_server(Path(sys.argv[1]), Address()) as server:
    assert b"a first string" in server.page()
heavy = {"torch", "optuna", "transformers", "sqlalchemy", "sklearn", "gradio", "plotly.graph_objs"}
print(sorted(heavy & set(sys.modules)))
"""
    command = [sys.executable, "-c", code, folder]
    assert subprocess.run(command, check=True, capture_output=True).stdout == b"[]\n"


def test_no_run_has_no_page(program, tmp_path):
    code, out, err = program("live", tmp_path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "holds no recipe.toml; name the folder of a run" in err


def test_a_search_that_is_refused_leaves_nothing(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _out, err = program("search", "missing.csv", "--live", "--out", "run")
    assert code == 2
    assert "missing.csv" in err
    assert list(tmp_path.iterdir()) == []
