"""A server of its own process: begun, found again, ended; one a run, and light."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from mean_prompt.report.live import start
from mean_prompt.report.live.place import has_server, last_server
from mean_prompt.report.live.start import LivePage
from mean_prompt.system.address import Address
from mean_prompt.system.errors import InputError, RunError
from tests.report.live.conftest import best, wait_until


@pytest.fixture
def begin(folder, kill_server):
    """Return a function that begins a run's live page: its address."""
    kill_server(folder, later=True)

    def begin(asked=None, **options):
        with LivePage(folder, asked) as page:
            page.begin(**options)
            assert page.is_served()
            return page.address

    return begin


def page_at(address):
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=60)
    connection.request("GET", "/")
    body = connection.getresponse().read().decode()
    connection.close()
    return body


def test_it_serves_what_the_report_shows(begin, folder):
    address = begin()
    assert json.loads((folder / "live" / "live.json").read_bytes()) == {
        "host": "127.0.0.1",
        "port": address.port,
        "pid": last_server(folder).pid,
    }
    page = page_at(address)
    assert "a first string" in page
    assert "Interrupted: mean-prompt search --resume goes on with it." in page
    assert (folder / "live" / "log.txt").read_text() == ""


def test_it_is_out_of_the_search_s_way(begin, folder):
    begin()
    pid = last_server(folder).pid
    # Another session: Ctrl-C in this one's terminal does not reach it.
    assert os.getsid(pid) != os.getsid(0)
    assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)


def test_it_loads_neither_model_nor_study(folder):
    code = """
import sys
from pathlib import Path
from mean_prompt.report.live import __main__
from mean_prompt.system.address import Address
address, bound = Address().listen()
server = __main__._server(Path(sys.argv[1]), bound, address)
page = server.page()
assert b"a first string" in page
heavy = {"torch", "optuna", "transformers", "sqlalchemy", "sklearn", "gradio"}
print(sorted(heavy & set(sys.modules)))
server.server_close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code, folder], check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"


def test_a_run_has_one_server(begin, folder):
    first, other = LivePage(folder), LivePage(folder)
    with first, other:
        first.begin()
        with pytest.raises(RunError, match=r"cannot begin: .*run has a live page already; see"):
            other.begin()
    assert begin() == begin(Address()) == first.address == last_server(folder).address


def test_a_server_elsewhere_is_not_moved(begin, folder, taken):
    address = begin()
    for asked in (Address("0.0.0.0", address.port), Address(port=taken)):
        with pytest.raises(InputError, match=rf"one live page: .*run is at {address.url} already"):
            LivePage(folder, asked)


def test_a_server_that_hangs_is_named(begin, folder, monkeypatch):
    begin()
    monkeypatch.setattr(start, "_ANSWER", 0.2)
    pid = last_server(folder).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(InputError, match=rf"run does not answer; end process {pid}, or"):
            LivePage(folder)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_it_comes_back_at_the_same_port(begin, folder, kill_server):
    address = begin()
    kill_server(folder)
    assert begin() == address
    assert "a first string" in page_at(address)


def test_it_moves_where_its_port_is_taken(begin, folder, kill_server):
    before = begin()
    kill_server(folder)
    with socket.create_server(("127.0.0.1", before.port)):
        with LivePage(folder) as page:
            assert page.moved_from == before
            assert page.address.port != before.port
        with pytest.raises(InputError, match=r"is taken; give another port"):
            LivePage(folder, before)


def test_another_interface_is_not_kept(folder):
    (folder / "live").mkdir()
    kept = {"host": "0.0.0.0", "port": 0, "pid": 1}
    (folder / "live" / "live.json").write_text(json.dumps(kept))
    with LivePage(folder) as page:
        assert page.address.host == "127.0.0.1"


def test_a_damaged_file_is_named(folder):
    (folder / "live").mkdir()
    (folder / "live" / "live.json").write_text('{"host": "127.0.0.1"')
    with pytest.raises(
        InputError, match=r"file must be whole: .*live\.json cannot be read; delete"
    ):
        LivePage(folder)


def test_it_ends_when_nobody_asks_any_more(begin, folder, search_of):
    with search_of() as run:
        begin(grace=0.5)
        time.sleep(1.0)
        assert has_server(folder)
        run.log(best("a second string"))
    wait_until(lambda: not has_server(folder))


def test_it_ends_with_the_run_s_folder(begin, folder, search_of):
    with search_of():
        begin()
        pid = last_server(folder).pid
        folder.rename(folder.with_name("elsewhere"))
        wait_until(lambda: not _runs(pid))


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_keeps_it_from_beginning_is_said(folder, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    rule = r"cannot begin: exit code 1; see .*log\.txt, or leave"
    with LivePage(folder) as page, pytest.raises(RunError, match=rule):
        page.begin()
    assert not page.is_served()
