"""Storage URLs: two kinds are taken, all else is one line, and no password is ever seen."""

import copy
import os
import pickle
import pprint
import sqlite3
import sys
import traceback
from pathlib import Path

import pytest
from hypothesis import example, given, settings, strategies as st
from sqlalchemy.engine import make_url

from mean_prompt.system import filesystems as mounts
from mean_prompt.system.errors import InputError
from mean_prompt.workers import storage_url
from mean_prompt.workers.storage_url import StorageURL

#: Nothing else in any message is like it.
PASSWORD = "Tr0ub4dor"
FULL = f"postgresql://me:{PASSWORD}@db.example:5433/study?sslmode=require&sslpassword={PASSWORD}2"


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """Run in a folder of its own, as if psycopg were there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(storage_url, "find_spec", lambda _name: object())


def parse(text):
    return StorageURL.parse(text)


def fault(text):
    """Return the message that refuses a URL, after looking for the password in all of it."""
    with pytest.raises(InputError) as caught:
        parse(text)
    assert caught.value.exit_code == 2
    told = str(caught.value)
    assert told == "".join(told.splitlines())
    whole = "".join(traceback.format_exception(caught.value.with_traceback(None)))
    assert PASSWORD not in whole
    return told


# -- PostgreSQL ---------------------------------------------------------------------------------


def test_every_part_is_read_and_goes_to_psycopg_3():
    url = parse(FULL)
    real = make_url(url.with_secrets())
    assert (url.kind, url.path) == ("postgresql", None)
    assert real.drivername == "postgresql+psycopg"
    assert (real.username, real.password, real.host, real.port) == (
        "me",
        PASSWORD,
        "db.example",
        5433,
    )
    assert real.database == "study"
    assert dict(real.query) == {"sslmode": "require", "sslpassword": f"{PASSWORD}2"}


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql+psycopg", "postgres+psycopg", "POSTGRESQL"]
)
def test_other_spellings_are_the_same(scheme):
    other = parse(FULL.replace("postgresql", scheme, 1))
    assert other == parse(FULL)
    assert hash(other) == hash(parse(FULL))
    assert other.shown.startswith("postgresql://")


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://host/db",
        "postgresql://me@host/db",
        "postgresql:///db",
        "postgresql://me:x@[::1]:5432/db",
        "postgresql://127.0.0.1/db",
        "postgresql:///db?host=%2Fvar%2Frun%2Fpostgresql&user=me",
        "postgresql://me:x@höst.example/db",
    ],
)
def test_parts_may_be_left_to_postgresql(text):
    assert parse(text).shown == text.replace(":x@", ":***@")


def test_reserved_characters_in_a_password_are_percent_encoded():
    url = parse("postgresql://me:a%2Fb%3Ac%40d%25e@host/db")
    assert make_url(url.with_secrets()).password == "a/b:c@d%e"


# -- secrets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        str,
        repr,
        lambda url: f"{url} {url!r} {url!s}",
        lambda url: url.shown,
        lambda url: pprint.pformat({"storage": [url]}),
        lambda url: "%s %r" % (url, url),  # noqa: UP031 as logging does it
    ],
)
def test_no_way_of_writing_it_out_shows_a_secret(written):
    assert PASSWORD not in written(parse(FULL))


def test_what_is_shown_says_the_rest():
    assert parse(FULL).shown == (
        "postgresql://me:***@db.example:5433/study?sslmode=require&sslpassword=***"
    )
    assert repr(parse("postgresql://me@h/db")) == "StorageURL('postgresql://me@h/db')"


@pytest.mark.parametrize(
    "name", ["password", "sslpassword", "PGPASSWORD", "token", "client_secret"]
)
def test_secret_parameters_are_masked(name):
    url = parse(f"postgresql://h/db?{name}={PASSWORD}&connect_timeout=5&{name}={PASSWORD}2")
    assert PASSWORD not in url.shown
    assert "connect_timeout=5" in url.shown
    assert PASSWORD in url.with_secrets()


def test_copies_and_other_processes_have_the_real_one():
    url = parse(FULL)
    for other in (copy.copy(url), copy.deepcopy(url), pickle.loads(pickle.dumps(url))):
        assert other == url
        assert other.with_secrets() == url.with_secrets()


def test_a_drivers_words_are_scrubbed():
    url = parse("postgresql://me:a%2Fb%40c@h/db?sslpassword=other")
    said = "cannot use 'a/b@c' of postgresql://me:a%2Fb%40c@h/db?sslpassword=other"
    assert url.scrub(said) == "cannot use '***' of postgresql://me:***@h/db?sslpassword=***"
    assert parse("postgresql://me:@h/db").scrub("as it is") == "as it is"
    assert parse("sqlite:///a.db").scrub("as it is") == "as it is"


# -- SQLite -------------------------------------------------------------------------------------


def test_a_relative_and_an_absolute_file(tmp_path):
    (tmp_path / "deep").mkdir()
    for text, path in (
        ("sqlite:///study.db", Path("study.db")),
        ("sqlite:///deep/study.db", Path("deep/study.db")),
        (f"sqlite:///{tmp_path}/study.db", tmp_path / "study.db"),
    ):
        url = parse(text)
        assert (url.kind, url.path, url.shown) == ("sqlite", path, text)


def test_the_home_is_spelt_out(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse("sqlite:///~/study.db").path == tmp_path / "study.db"


@pytest.mark.parametrize("name", ["a b.db", "100%25.db", "what?.db", "ä#1.db", "a@b.db", ":x.db"])
def test_any_name_of_a_file_reaches_sqlite(tmp_path, name):
    url = StorageURL.of_file(tmp_path / name)
    assert make_url(url.with_secrets()).database == str(tmp_path / name)
    assert url.path == tmp_path / name
    assert url.shown == f"sqlite:///{tmp_path / name}"


def test_a_file_that_is_there_must_be_sqlites(tmp_path):
    sqlite3.connect(tmp_path / "study.db").execute("CREATE TABLE t (x)").connection.close()
    (tmp_path / "empty.db").touch()
    (tmp_path / "best.txt").write_text("the best string of a run")
    assert parse("sqlite:///study.db").path == Path("study.db")
    assert parse("sqlite:///empty.db").path == Path("empty.db")
    assert "best.txt: a file that is not SQLite's; name another" in fault("sqlite:///best.txt")
    assert (tmp_path / "best.txt").read_text() == "the best string of a run"


def test_nothing_is_made_by_looking(tmp_path):
    parse("sqlite:///study.db")
    assert list(tmp_path.iterdir()) == []


def test_a_network_file_system_is_refused(tmp_path, monkeypatch):
    (tmp_path / "far").mkdir()
    (tmp_path / "mounts").write_text(f"1 1 0:1 / {tmp_path}/far rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(mounts, "_MOUNTS", tmp_path / "mounts")
    assert "far/study.db is on nfs4; use PostgreSQL, or a local disk" in fault(
        "sqlite:///far/study.db"
    )
    assert parse("sqlite:///study.db")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files here")
def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "pipe: no regular file" in fault("sqlite:///pipe")
    assert "no regular file" in fault("sqlite:////dev/null")


@pytest.mark.skipif(sys.platform == "win32", reason="paths are Unicode there")
def test_a_path_that_is_no_text_is_refused():
    with pytest.raises(InputError, match=r"Unicode text: character 2 of 'a\\udcff.db' is none"):
        StorageURL.of_file(Path("a\udcff.db"))


# -- what is refused ----------------------------------------------------------------------------

FORMS = "must be sqlite:///FILE.db or postgresql://USER:PASSWORD@HOST:PORT/DATABASE: found "
REFUSED = {
    f"mysql://me:{PASSWORD}@h/db": f"{FORMS}mysql://; mend it",
    f"redis://:{PASSWORD}@h:6379/0": f"{FORMS}redis://",
    f"http://me:{PASSWORD}@h/db": f"{FORMS}http://",
    f"grpc://me:{PASSWORD}@h:1/db": f"{FORMS}grpc://",
    "journal.log": f"{FORMS}neither",
    "study.db": f"{FORMS}neither",
    "": f"{FORMS}neither",
    f"//me:{PASSWORD}@h/db": f"{FORMS}neither",
    f"{PASSWORD}": f"{FORMS}neither",
    f"postgresql:me:{PASSWORD}@h/db": f"{FORMS}neither",
    f" postgresql://me:{PASSWORD}@h/db": f"{FORMS}neither",
    f"postgresql+psycopg2://me:{PASSWORD}@h/db": "through psycopg 3: found postgresql+psycopg2",
    f"postgresql+asyncpg://me:{PASSWORD}@h/db": "write postgresql://",
    f"postgresql://me:{PASSWORD}@h": "no name of a database at its end; add one",
    f"postgresql://me:{PASSWORD}@h/": "no name of a database",
    f"postgresql://me:{PASSWORD}@h/%20": "no name of a database",
    f"postgresql://me:{PASSWORD}@h/?a=1": "no name of a database",
    f"postgresql://me:{PASSWORD}@h:port/db": "a port that is no number, or none after a colon",
    f"postgresql://me:{PASSWORD}@h:/db": "a port that is no number, or none after a colon",
    f"postgresql://me:{PASSWORD}@h:{'9' * 5000}/db": "must have at most 4,096 characters: found 5,",
    f"postgresql://me:{PASSWORD}@h:0/db": "a port that is not from 1 to 65535",
    f"postgresql://me:{PASSWORD}@h:65536/db": "a port that is not from 1 to 65535",
    f"postgresql://me:{PASSWORD}@h:-1/db": "a port that is not from 1 to 65535",
    f"postgresql://me:x@{PASSWORD}@h/db": "an @ or a blank in a wrong place; percent-encode",
    f"postgresql://h/me:{PASSWORD}@x": "an @ or a blank in a wrong place",
    f"postgresql://h:{PASSWORD}/db": "a port that is no number",
    f"postgresql://me:{PASSWORD}\n@h/db": "can be printed: found U+000A; remove it",
    f"postgresql://me:{PASSWORD}%00@h/db": "can be printed: found U+0000",
    f"postgresql://me:{PASSWORD}@h/d%1Bb": "can be printed: found U+001B",
    f"postgresql://me:{PASSWORD}@h/db?a=%0A": "can be printed: found U+000A",
    f"postgresql://me:{PASSWORD}\udcff@h/db": "can be printed: found U+DCFF",
    f"sqlite://me:{PASSWORD}@h/study.db": "three slashes and nothing else: found a host",
    "sqlite://study.db": "three slashes and nothing else: found a host",
    "sqlite://": "found no file that others could open",
    "sqlite:///": "found no file that others could open",
    "sqlite:///:memory:": "found no file that others could open",
    "sqlite:///file:study.db": "found no file that others could open",
    "sqlite:///study.db?mode=memory&uri=true": "found options after a question mark",
    "sqlite:///.": ".: a folder; name another",
    "sqlite:////": "/: a folder",
    "sqlite:///gone/study.db": "gone/study.db: its folder is missing",
    f"sqlite:///{'x' * 300}": "File name too long",
    f"sqlite:///me:{PASSWORD}@h/db": ": ***: its folder is missing",
    "sqlite:///a%00b": "found U+0000",
}


@pytest.mark.parametrize("text", REFUSED)
def test_all_else_is_one_line(text):
    assert REFUSED[text] in fault(text)


def test_without_psycopg_the_install_line_is_given(monkeypatch):
    monkeypatch.setattr(storage_url, "find_spec", lambda _name: None)
    assert fault(FULL) == (
        "a study in PostgreSQL needs psycopg, which is not installed; run: "
        "pip install 'mean-prompt[postgres]'"
    )
    assert parse("sqlite:///study.db")


def test_a_psycopg_that_is_broken_inside_is_not_taken_for_missing(tmp_path, monkeypatch):
    (tmp_path / "psycopg.py").write_text("import its_own_need\n")
    monkeypatch.undo()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "psycopg", raising=False)
    assert parse(FULL).kind == "postgresql"


# -- whatever is given --------------------------------------------------------------------------

SCHEMES = st.sampled_from(
    [
        "sqlite",
        "postgresql",
        "postgres",
        "postgresql+psycopg",
        "postgresql+psycopg2",
        "mysql",
        "SQLite",
    ]
) | st.text(max_size=8)
WORDS = st.text(max_size=12) | st.sampled_from(
    [
        "",
        "me",
        "h",
        "db",
        "5432",
        "study.db",
        ".",
        "..",
        "/",
        "//",
        ":memory:",
        "%00",
        "%zz",
        "[::1]",
    ]
)
MARKS = st.sampled_from(["://", ":///", ":////", ":", "//", ""])


@st.composite
def likely_urls(draw):
    """URLs of every part, right and wrong, with the password where one may put it."""
    user = draw(WORDS)
    password = draw(st.sampled_from(["", f":{PASSWORD}", f":{PASSWORD}/x", f":a{PASSWORD}@b"]))
    at = draw(st.sampled_from(["@", "", "@@"]))
    port = draw(st.sampled_from(["", ":5432", ":", ":x", ":99999999999999999999"]))
    query = draw(
        st.sampled_from(["", "?", "?a=b", f"?sslpassword={PASSWORD}", "?%=&&=", "?a=1&a=2"])
    )
    path = draw(st.sampled_from(["", "/"])) + draw(WORDS)
    return f"{draw(SCHEMES)}{draw(MARKS)}{user}{password}{at}{draw(WORDS)}{port}{path}{query}"


@settings(max_examples=1_500, deadline=None)
@given(
    likely_urls()
    | st.text()
    | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape"))
)
@example(FULL)
def test_whatever_is_given_ends_in_a_storage_or_one_line(text):
    try:
        url = StorageURL.parse(text)
    except InputError as caught:
        fault = caught
    else:
        check_taken(url)
        return
    told = str(fault)
    assert len(told.splitlines()) == 1
    assert len(told) < 5_000
    assert PASSWORD not in told + repr(fault.__cause__)
    assert fault.__suppress_context__ or fault.__context__ is None


def check_taken(url):
    assert url.kind in {"sqlite", "postgresql"}
    assert make_url(url.with_secrets()).render_as_string(hide_password=False) == url.with_secrets()
    if url.kind == "postgresql" and PASSWORD in (make_url(url.with_secrets()).password or ""):
        assert PASSWORD not in url.shown + repr(url)
