"""The address that a page is served at, and the requests that it admits."""

import socket

import pytest

from mean_prompt.system.address import Address
from mean_prompt.system.errors import InputError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("8000", "127.0.0.1", 8000),
        ("0", "127.0.0.1", 0),
        ("localhost:8000", "localhost", 8000),
        ("Box.Example", "box.example", 0),
        ("10.0.0.7:1", "10.0.0.7", 1),
        ("0.0.0.0", "0.0.0.0", 0),
        ("[::1]:8000", "::1", 8000),
        ("[::1]", "::1", 0),
        ("::1", "::1", 0),
        ("::", "::", 0),
    ],
)
def test_what_can_be_asked_for(text, host, port):
    assert Address.parse(text) == Address(host, port)


@pytest.mark.parametrize(
    "text",
    [
        *("", ":8000", "65536", "localhost:65536", "localhost:", "-1", "http://localhost:8000"),
        *("me@host:80", "[::1]8000", "[::1", "[12.1]:80", "fe80::1%eth0", "a b:80", "a\n:80"),
        *("\uff18\uff10\uff10\uff10", "localhost:" + "9" * 5_000, "x" * 10_000 + "!"),
    ],
)
def test_what_cannot(text):
    rule = r"--live-at must be HOST:PORT, or a port .* found .*; give"
    with pytest.raises(InputError, match=rule) as error:
        Address.parse(text)
    assert len(str(error.value)) < 250


def test_a_free_port_is_found_and_it_is_private():
    address, bound = Address().listen()
    with bound:
        assert bound.getsockname() == ("127.0.0.1", address.port)
        assert address.url == f"http://127.0.0.1:{address.port}/"
        assert address.is_private


def test_a_taken_port_is_refused(taken):
    with pytest.raises(InputError, match=rf"127\.0\.0\.1, port {taken} is taken; give another"):
        Address("127.0.0.1", taken).listen()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "a..b", "x" * 300])
def test_another_machine_is_refused(host):
    rule = r"--live-at must be an address that is free here: .* machine"
    with pytest.raises(InputError, match=rule):
        Address(host, 8000).listen()


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_ipv6_is_shown_in_brackets():
    address, bound = Address("::1").listen()
    bound.close()
    assert address.url == f"http://[::1]:{address.port}/"
    assert Address("::", 80).url == "http://[::1]:80/"
    assert not Address("::", 80).is_private


LOCAL = ["127.0.0.1", "127.0.0.1:9", "localhost:8000", "LOCALHOST", "[::1]:8000", "[::1]"]
FOREIGN = [None, "", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil"]


@pytest.mark.parametrize("asked", ["127.0.0.1", "0.0.0.0", "10.0.0.7"])
def test_this_machine_is_let_in_and_other_names_are_not(asked):
    address = Address(asked, 8000)
    assert all(address.admits(header) for header in LOCAL)
    assert not any(address.admits(header) for header in FOREIGN)


def test_what_was_asked_for_is_let_in():
    assert Address("box.example", 80).admits("BOX.example:80")
    assert not Address("box.example", 80).admits("10.0.0.7")
    everywhere = Address("0.0.0.0", 80)
    assert everywhere.admits("10.0.0.7:80")
    assert everywhere.admits("[fe80::1]:80")
    assert everywhere.admits(socket.gethostname())
