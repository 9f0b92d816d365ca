"""Command lines of every kind end in a result, one line or Typer's usage, never in a trace."""

import io
import os
import re
import shutil
import sys

import pytest
import typer
from hypothesis import HealthCheck, example, given, settings, strategies as st

from mean_prompt import cli
from mean_prompt.cli.app import app
from mean_prompt.encoder import loading as models
from mean_prompt.llm.server import ServerPredictor
from mean_prompt.system.errors import InputError, RunError

#: In a URL it may stand anywhere on the line, and is never repeated.
PASSWORD = "Tr0ub4dor"
#: Typer builds the commands anew at every call, which takes longer than most of them.
APP = typer.main.get_command(app)
NAMES_OF_COMMANDS = ("search", "score", "predict", "evaluate", "check")
COMMANDS = {name: APP.commands[name] for name in NAMES_OF_COMMANDS}

ROWS = "id,original_text,rewritten_text,rewrite_prompt,said\n"
ROWS += "".join(f"{n},text {n},other {n},Make it {n},Do it {n}\n" for n in range(6))
FILES = {
    "prompts.csv": 'prompt,n\n"Make it formal",1\n"Make it a poem",2\n"Shorten this, please",3\n',
    "rows.csv": ROWS,
    "rows.jsonl": '{"id": 1, "original_text": "b", "rewritten_text": "c", "prompt": "d"}\n',
    "submission.csv": "id,rewrite_prompt\n" + "".join(f"{n},x\n" for n in range(6)),
    "wrong.csv": 'id,rewrite_prompt\n0,x\n0,"y\n',
    "strings.txt": "Improve this text.\n\nMake it better\n",
    "mine.toml": "[search]\nmax_evaluations = 10\n",
    "wrong.toml": "[search\n",
    "run/best.txt": "Improve this",
    "bytes.csv": b"prompt\n\xff\xfe\n",
    "caf\udce9.txt": "a name that is no UTF-8\n",
}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A folder of files to be named on command lines, and an empty one."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "empty").mkdir()
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@pytest.fixture(scope="module")
def run(template, tmp_path_factory):
    """Return what runs a command line in a copy of that folder, without models or a network."""
    place = tmp_path_factory.mktemp("work") / "deep" / "place"

    def no_model(*_args, **_options):
        raise RunError("no model is loaded here")

    def no_network(*_args, **_options):
        raise InputError("no server is asked here")

    def run(arguments, stdin=b""):
        if place.exists():
            os.chdir(template)
            shutil.rmtree(place)
        shutil.copytree(template, place)
        os.chdir(place)
        patch.setattr(sys, "argv", ["mean-prompt", *arguments])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        # As Python sets them up: what cannot be encoded is spelt out on the second alone.
        out = io.TextIOWrapper(io.BytesIO(), "utf-8", "strict")
        err = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        try:
            cli.main()
            code = 0
        except SystemExit as exit_:
            code = exit_.code or 0
        out.flush()
        err.flush()
        return code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode()

    before = os.getcwd()  # noqa: PTH109 - to come back to
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mean_prompt.cli.app.app", APP)
        patch.setattr(models, "_load", no_model)
        patch.setattr(models, "hub_answers", lambda _endpoint: pytest.fail("the hub was asked"))
        patch.setattr(ServerPredictor, "predict", no_network)
        yield run
        os.chdir(before)


def assert_ends_well(code, out, err):
    said = out + err
    assert "Traceback" not in said
    assert PASSWORD not in said
    assert "\x1b" not in said
    faults = [
        line
        for line in err.splitlines()
        if line.startswith("mean-prompt: ") and not line.startswith("mean-prompt: warning: ")
    ]
    is_usage = "Usage: " in said
    is_verdict = "not valid: " in out or '"severity": "fault"' in out
    if code == 0:
        assert not faults
    elif code == 1:
        assert len(faults) == 1
    else:
        assert code == 2
        assert len(faults) + is_usage + is_verdict == 1


# -- arguments ----------------------------------------------------------------------------------

#: No path leads out of the place, and no argument holds a NUL, which no system passes on.
WILD = st.text(
    st.characters(exclude_categories=[], exclude_characters="\0/\\~").filter(lambda c: c != "."),
    max_size=8,
)
NUMBERS = ["0", "1", "-1", "2", "64", "0.5", "1e9", "nan", "inf", "-0", "9" * 30, "9" * 5_000, "٣"]
TEXTS = ["", " ", "-", "--", "x", "Make it \U0001f99c", "a\nb", "\x1b[2J", "\udcff", "x" * 5_000]
DURATIONS = ["10s", "0s", "1h30m", "999999h999999m", "9" * 5_000 + "s"]
SOURCES = [*FILES, "gone.csv", "empty", ".", "prompts.csv:2", "a=prompts.csv:1", "prompts.csv:nan"]
SOURCES += ["a=b=c:d:e", "x" * 300]
NAMES = ["all-MiniLM-L6-v2", "nobody/none", "auto", "cpu", "cuda", "ascii", "words", "prefix"]
NAMES += ["quick", "prompt", "said", "float16"]
LLMS = ["none", "none:x", "column:said", "column:", "file:rows.csv", "file:rows.csv#said", "file:#"]
LLMS += [f"server:m@http://me:{PASSWORD}@host/v1", f"server:http://me:{PASSWORD}@host/v1", "x:y"]
LLMS += [f"server:m@http://me:{PASSWORD}@host:port/v1?key={PASSWORD}", "transformers:empty"]
LLMS += ["transformers:nobody/none", "transformers:"]
URLS = [f"postgresql://me:{PASSWORD}@host/db", f"http://me:{PASSWORD}@host/x.csv"]
VALUES = st.sampled_from(
    [*NUMBERS, *TEXTS, *DURATIONS, *SOURCES, *NAMES, *LLMS, *URLS, "--help", "--version"]
)
#: What a parameter of a name is mostly given: what it can use, and some of what it cannot.
ROWS_FILES = ["rows.csv", "rows.csv", "rows.jsonl", "wrong.csv", "gone.csv", "empty"]
FITTING = {
    "corpus": ["prompts.csv", "prompts.csv", "strings.txt", "rows.csv", *SOURCES],
    "strings": ["Improve this", "strings.txt", "prompts.csv", *TEXTS],
    "column": ["prompt", "rewrite_prompt", "gone"],
    "context_column": ["said", "gone"],
    "context": ROWS_FILES,
    "test": ROWS_FILES,
    "triples": ROWS_FILES,
    "submission": ["submission.csv", *ROWS_FILES],
    "model": ["all-MiniLM-L6-v2", *NAMES],
    "llm": LLMS,
    "budget": DURATIONS,
    "time_limit": DURATIONS,
    "recipe": ["mine.toml", "wrong.toml", "quick", "gone"],
    "out": ["new", "new.csv", "run", "empty", "rows.csv", "gone/new.csv", ".", "x" * 300],
    "prompt": ["Improve this", "Improve this", "run", "empty", "strings.txt", ""],
    "prefix": ["Improve this", "run", "gone/run"],
    "suffix": ["Improve this", "run", "gone/run"],
}


def fitting(parameter):
    """Return a strategy for a parameter's value: often one that fits, else anything."""
    kind = str(parameter.type_descriptor.annotation)
    if "Literal" in kind:
        fit = re.findall(r"'(\w+)'", kind)
    elif "int" in kind or "float" in kind:
        fit = ["1", "2", "16", "0", "-1", "9" * 30, *(["0.5", "nan"] if "float" in kind else [])]
    else:
        fit = FITTING.get(parameter.name, SOURCES)
    return st.integers(0, 11).flatmap(lambda n: st.sampled_from(fit) if n else VALUES | WILD)


@st.composite
def command_lines(draw, command):
    """A command with its required parameters mostly there, and some of the others."""
    given = []
    for parameter in command.params:
        is_option = parameter.param_type_name == "option"
        if draw(st.integers(0, 9)) >= (10 if parameter.required else 2):
            continue
        if is_option:
            given.append([draw(st.sampled_from(parameter.opts))])
            if not getattr(parameter, "is_flag", False):
                given[-1].append(draw(fitting(parameter)))
        else:
            given += [[draw(fitting(parameter))] for _ in range(draw(st.integers(1, 2)))]
    if draw(st.integers(0, 9)) == 0:
        given.append([draw(VALUES | WILD)])
    if given and draw(st.integers(0, 9)) == 0:
        given.pop(draw(st.integers(0, len(given) - 1)))
    return [argument for group in draw(st.permutations(given)) for argument in group]


WIDELY = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("name", COMMANDS)
def test_any_command_line_ends_well(run, name):
    @WIDELY
    @given(command_lines(COMMANDS[name]), st.binary(max_size=12))
    def check(arguments, stdin):
        assert_ends_well(*run([name, *arguments], stdin))

    check()


@WIDELY
@given(st.lists(st.sampled_from([*COMMANDS, "--version", "--help"]) | VALUES | WILD, max_size=4))
@example([])
@example(["-"])
@example([f"http://me:{PASSWORD}@host"])
@example(["score", "--", "--help"])
@example(["score", "\udcff"])
@example(["score", "-", "--corpus", "caf\udce9.txt"])
@example(["search", "caf\udce9.txt", "--max-evaluations", "9"])
@example(["search", "prompts.csv", "--column", "\udcff"])
@example(["predict", "rows.csv", "--triples", "rows.csv", "--prompt", "\udcff", "--out", "n.csv"])
@example(["predict", "rows.csv", "--triples", "rows.csv", "--prompt", "x", "--out", "\udcff.csv"])
@example(["predict", "rows.csv", f"server:m@http://me:{PASSWORD}@host/v1"])
def test_any_words_end_well(run, words):
    assert_ends_well(*run(words))
