"""Secrets in what is shown: masked in URLs, scrubbed where they are known."""

import io
import shlex
import sys

import pytest

from mean_prompt import api, cli
from mean_prompt.bench.setup import Machine
from mean_prompt.cli.warnings import one_line_warnings
from mean_prompt.hybrid.comparison import Comparison
from mean_prompt.hybrid.request import Request
from mean_prompt.system.errors import InputError
from mean_prompt.system.secrets import is_secret_name, masked_urls, scrubbed

SECRET = "Tr0ub4dor"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("nothing", "nothing"),
        ("a@b and c://d/e", "a@b and c://d/e"),
        (f"http://me:{SECRET}@host/v1", "http://***@host/v1"),
        (f"no file http:/me:{SECRET}@host/v1", "no file http:/***@host/v1"),
        ("C:/Users/me@home/x", "C:/Users/me@home/x"),
        (f"server:m@http://{SECRET}@host/v1", "server:m@http://***@host/v1"),
        (f"xx://a:{SECRET}/{SECRET}@b@host yy://c:{SECRET}@d", "xx://***@host yy://***@d"),
        (f"('http://u:{SECRET}@h', 1)", "('http://***@h', 1)"),
        (f"http://h/?a=1&api_key={SECRET}&b=2#c", "http://h/?a=1&api_key=***&b=2#c"),
        (f"postgresql://h/d?sslpassword={SECRET}", "postgresql://h/d?sslpassword=***"),
        (f"http://h/v1?key={SECRET}", "http://h/v1?key=***"),
        ("http://h/v1?keyboard=de&monkey=1", "http://h/v1?keyboard=de&monkey=1"),
    ],
)
def test_urls_are_masked_and_all_else_stays(text, masked):
    assert masked_urls(text) == masked


@pytest.mark.parametrize("name", ["password", "SSLPASSWORD", "api-key", "x_secret", "key", "sig"])
def test_names_of_secrets(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["keyboard", "sslmode", "user", "design", ""])
def test_other_names(name):
    assert not is_secret_name(name)


def test_secrets_are_scrubbed_in_whatever_way_they_are_spelt():
    said = "a/b c@d, a%2Fb%20c%40d, a/b%20c%40d and a%2Fb+c%40d"
    assert scrubbed(said, ["a/b c@d"]) == "***, ***, *** and ***"
    assert scrubbed("sk-long sk", ["sk", "sk-long"]) == "*** ***"
    assert scrubbed("as it is", [None, "", " "]) == "as it is"


def test_errors_and_warnings_of_commands_are_masked(monkeypatch, capsys, tmp_path):
    def fail(*_args, **_options):
        raise InputError(f"cannot read http://me:{SECRET}@host/x\n\x1b[31m")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "score", fail)
    monkeypatch.setattr(sys, "argv", ["mean-prompt", "score", "x"])
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == ("mean-prompt: cannot read http://***@host/x \\x1b[31m\n")
    with one_line_warnings():
        import warnings

        warnings.warn(f"old: http://me:{SECRET}@host\nx", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "mean-prompt: warning: old: http://***@host x\n"


def test_the_commands_of_reports_are_masked(monkeypatch):
    url = f"http://me:{SECRET}@host/v1"
    monkeypatch.setattr(sys, "argv", ["mean-prompt", "bench", f"--model={url}", url])
    command = Machine.here("cpu").command
    assert shlex.split(command)[1:] == [
        "bench",
        "--model=http://***@host/v1",
        "http://***@host/v1",
    ]


@pytest.mark.parametrize("kind", [Request, Comparison])
def test_what_is_asked_shows_no_credentials_of_a_server(kind, tmp_path):
    places = {"test": tmp_path, "triples": tmp_path, "out": tmp_path, "prompt": "x"}
    fields = {name: places[name] for name in places if name in kind.__dataclass_fields__}
    asked = kind(**fields, llm=f"server:m@http://me:{SECRET}@host/v1")
    assert SECRET not in repr(asked) + str(asked) + f"{asked}"
    assert asked.llm.endswith("@host/v1")


def test_a_typo_in_an_option_shows_no_credentials(monkeypatch, tmp_path):
    """Typer's own words of what is wrong."""
    monkeypatch.chdir(tmp_path)
    given = ["predict", "rows.csv", "--llmm", f"server:m@http://me:{SECRET}@host/v1"]
    monkeypatch.setattr(sys, "argv", ["mean-prompt", *given])
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 2
    assert SECRET not in said.getvalue()
