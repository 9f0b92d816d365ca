"""``search --live``: what it is given, and what it says."""

import pytest

from mean_prompt import api
from mean_prompt.report.live.place import has_server, last_server
from mean_prompt.runs.progress import Progress
from mean_prompt.runs.result import SearchResult


@pytest.fixture
def searches(tmp_path, monkeypatch, kill_server):
    """Put a search in place of the real one that is over at once; its runs' folders."""
    runs = []
    monkeypatch.chdir(tmp_path)

    def search(*, out, listener, resume, **_asked):
        runs.append(out)
        kill_server(out, later=True)
        if not resume:
            out.mkdir(parents=True)
            (out / "recipe.toml").write_text("")
            listener(Progress("loaded", 0, 1, 0.0, None, notes=("a note",)))
        return SearchResult(
            string="found",
            tokens=1,
            model_tokens=2,
            score=0.1,
            train_score=0.1,
            holdout_score=None,
            holdout_interval=None,
            ceiling=0.2,
            fraction=0.5,
            baselines=(),
            evaluations=1,
            seconds=1.0,
            search_seconds=1.0,
            stopped=False,
            out=out,
            details={},
        )

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


@pytest.mark.parametrize("quiet", [False, True])
def test_the_address_is_said_at_the_start_and_at_the_end(program, searches, tmp_path, quiet):
    code, out, err = program("search", "--live", "--out", "run", *(["--quiet"] if quiet else []))
    url = last_server(tmp_path / "run").address.url
    assert code == 0
    first, *_, last = err.splitlines()
    assert first == f"live page: {url}"
    assert last == f"live page: {url} stays for as long as it is open"
    assert url not in out
    assert (out == "found\n") is quiet
    assert has_server(searches[0])


def test_a_run_that_was_over_is_shown_too(program, searches, tmp_path):
    program("search", "--out", "run")
    assert not (tmp_path / "run" / "live").exists()
    code, _out, err = program("search", "--resume", "run", "--live")
    assert code == 0
    assert err == (
        f"live page: {last_server(tmp_path / 'run').address.url} stays for as long as it is open\n"
    )
    assert has_server(searches[1])


def test_an_address_asks_for_the_page_and_an_open_one_is_said(program, searches, tmp_path):
    code, _out, err = program("search", "--live-at", "0.0.0.0", "--out", "run")
    server = last_server(tmp_path / "run")
    assert code == 0
    assert server.address.host == "0.0.0.0"
    assert f"live page: http://127.0.0.1:{server.address.port}/\n" in err
    assert "it is open to whoever reaches 0.0.0.0\n" in err
    assert searches


def test_a_search_that_is_refused_leaves_nothing(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _out, err = program("search", "missing.csv", "--live", "--out", "run")
    assert code == 2
    assert "missing.csv" in err
    assert list(tmp_path.iterdir()) == []
