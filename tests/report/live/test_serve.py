"""The server of a run: one a run, at the same address again, until it is not needed."""

import json
import threading
import time

import pytest

from mean_prompt.report.live import server as module
from mean_prompt.report.live.place import running_server
from mean_prompt.report.live.server import live_server
from mean_prompt.system.address import Address
from mean_prompt.system.errors import InputError
from tests.report.live.conftest import LOOPBACK


def test_a_run_has_one_server_that_others_find(folder):
    with live_server(folder, LOOPBACK) as server:
        kept = json.loads((folder / "live" / "live.json").read_bytes())
        assert running_server(folder).address == server.address
        assert (kept["host"], kept["port"]) == ("127.0.0.1", server.address.port)
        with (
            pytest.raises(InputError, match=rf"one live page: .* at {server.address.url}, served"),
            live_server(folder, LOOPBACK),
        ):
            pass
    assert running_server(folder) is None


def test_it_comes_back_at_the_same_port_and_moves_if_that_is_taken(folder, taken):
    with live_server(folder, LOOPBACK) as server:
        before = server.address
    with live_server(folder, LOOPBACK) as server:
        assert (server.address, server.moved_from) == (before, None)
    (folder / "live" / "live.json").write_text(
        json.dumps({"host": "0.0.0.0", "port": taken, "pid": 1})
    )
    with live_server(folder, LOOPBACK) as server:
        # Another interface is not kept.
        assert server.address.host == "127.0.0.1"
        assert server.moved_from == Address(port=taken)
    rule = "--host and --port must be an address that is free here"
    with pytest.raises(InputError, match=rule), live_server(folder, Address(port=taken)):
        pass


def test_a_damaged_file_is_named(folder):
    (folder / "live").mkdir()
    (folder / "live" / "live.json").write_text('{"host": "127.0.0.1"')
    rule = r"file must be whole: .*live\.json cannot be read; delete"
    with pytest.raises(InputError, match=rule), live_server(folder, LOOPBACK):
        pass


class Clock:
    """A clock that moves by as much as a test waits for requests."""

    now = 1_000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def served(folder, monkeypatch):
    """A server that waits a minute for each request, which does not come; and its clock."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    with live_server(folder, LOOPBACK) as server:

        def wait():
            clock.now += 60.0

        monkeypatch.setattr(server, "handle_request", wait)
        yield server, clock, wait


def test_it_ends_when_the_page_is_not_open_any_more(served, folder):
    server, clock, wait = served

    def ask():
        wait()
        if clock.now < 2_000.0:
            server.asked = clock.now

    server.handle_request = ask
    server.serve(folder, 300.0)
    assert 2_000.0 + 240 <= clock.now <= 2_000.0 + 300


def test_it_is_needed_while_the_search_works(served, folder, search_of):
    server, clock, wait = served
    with search_of() as run:

        def finish():
            wait()
            if clock.now >= 2_000.0:
                run.close()

        server.handle_request = finish
        server.serve(folder, 300.0)
    assert clock.now >= 2_000.0 + 240


@pytest.mark.parametrize("is_replaced", [False, True])
def test_it_ends_with_the_runs_folder(served, folder, is_replaced):
    server, clock, wait = served

    def move():
        wait()
        folder.rename(folder.with_name("elsewhere"))
        if is_replaced:
            (folder / "live").mkdir(parents=True)

    server.handle_request = move
    server.serve(folder, None)
    assert clock.now == 1_060.0


def test_it_serves_requests_meanwhile(folder):
    import http.client

    with live_server(folder, LOOPBACK) as server:
        thread = threading.Thread(target=server.serve, args=(folder, 0.5, 0.05))
        thread.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.address.port, timeout=30)
        connection.request("GET", "/parts.json")
        assert b"Interrupted" in connection.getresponse().read()
        connection.close()
        thread.join(30)
        assert time.monotonic() - server.asked >= 0.5
