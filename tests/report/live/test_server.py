"""What the server answers, and to whom."""

import http.client
import json
import socket
import struct
import time

import pytest

from mean_prompt.system.address import Address
from tests.report.live.conftest import parts_of


def ask(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.address.port, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_the_page_and_its_parts(serve):
    server = serve()
    answer, body = ask(server, "/")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"a first string" in body
    assert b'class="status interrupted"' in body
    answer, body = ask(server, "/parts.json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    parts = json.loads(body)
    assert set(parts) == {"version", "sections", "figures"}
    assert "a first string" in parts["sections"]["events"]


def test_only_what_is_new_is_sent(serve, search_of):
    server = serve()
    version = json.loads(ask(server, "/parts.json?after=")[1])["version"]
    answer, body = ask(server, f"/parts.json?after={version}")
    assert (answer.status, body) == (204, b"")
    with search_of():
        answer, body = ask(server, f"/parts.json?after={version}")
    assert answer.status == 200
    assert 'class="status running"' in json.loads(body)["sections"]["status"]


@pytest.mark.parametrize(
    "path",
    ["/events.jsonl", "/live/live.json", "/../run/recipe.toml", "/%2e%2e/", "http://127.0.0.1/x"],
)
def test_nothing_else_is_served(serve, path):
    answer, body = ask(serve(), path)
    assert answer.status == 404
    assert b"a first string" not in body


@pytest.mark.parametrize("path", ["/", "/parts.json", "/else"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", ""])
def test_who_asks_by_another_name_or_none_is_refused(serve, path, host):
    server = serve()
    answer, body = ask(server, path, Host=host)
    assert answer.status == 403
    assert b"a first string" not in body
    with socket.create_connection(("127.0.0.1", server.address.port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        assert connection.recv(1_000).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_done_but_look(serve, method):
    assert ask(serve(), "/", method)[0].status == 501


def test_the_headers_alone(serve):
    server = serve()
    for path in ("/", "/parts.json"):
        answer, body = ask(server, path, "HEAD")
        assert (answer.status, body) == (200, b"")
        assert int(answer.headers["Content-Length"]) == len(ask(server, path)[1])


@pytest.mark.parametrize(
    ("path", "host"), [("/", "localhost"), ("/else", "localhost"), ("/", "evil.example")]
)
def test_every_answer_is_closed_to_others(serve, path, host):
    headers = ask(serve(), path, Host=host)[0].headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in headers


def test_only_requests_for_the_page_count_as_asking(serve):
    server = serve()
    before = server.asked
    time.sleep(0.01)
    ask(server, "/else")
    ask(server, "/", Host="evil.example")
    assert server.asked == before
    ask(server, "/parts.json")
    assert server.asked > before


def test_a_folder_that_is_gone_is_said(serve, folder):
    server = serve()
    folder.rename(folder.with_name("elsewhere"))
    assert ask(server, "/")[0].status == ask(server, "/parts.json")[0].status == 410


def test_half_a_character_breaks_no_page(serve):
    server = serve(read=lambda _run: parts_of(string="x\ud83dy"))
    answer, body = ask(server, "/")
    assert answer.status == 200
    assert b"x?y" in body
    assert json.loads(ask(server, "/parts.json")[1])["sections"]["string"] == "x\ud83dy"


def test_a_browser_that_goes_away_is_not_logged(serve, capfd):
    server = serve(read=lambda _run: parts_of(string="x" * 20_000_000))
    with socket.create_connection(("127.0.0.1", server.address.port)) as connection:
        # A close sends a reset, while most of the page has not been sent.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.recv(10)
    assert ask(server, "/else")[0].status == 404
    assert capfd.readouterr().err == ""


def test_what_goes_wrong_is_logged(serve, capfd):
    def broken(_run):
        raise ZeroDivisionError("in the page")

    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        ask(serve(read=broken), "/")
    assert "ZeroDivisionError: in the page" in capfd.readouterr().err


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_it_serves_by_ipv6(serve):
    server = serve(Address("::1"))
    connection = http.client.HTTPConnection("::1", server.address.port, timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    connection.close()
