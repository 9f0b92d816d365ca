"""``mean-prompt search --context``: the table as said; bad input is one line and exit code 2."""

import io
import json
import tomllib
from functools import partial
from pathlib import Path

import pytest
import torch
from rich.console import Console

from mean_prompt import api
from mean_prompt.cli.display import print_affix

ROWS = [
    ("Rewrite this as a poem", "Turn it into a poem"),
    ("Make it formal", "Write it formally"),
    ("Turn it into a sea shanty", "Make it a song"),
    ("Summarise the text", "Shorten it"),
    ("Write it as a story", "Tell it as a story"),
]
#: Short enough for the tiny model, and over in a moment.
QUICK = ("--max-evaluations", 300, "--max-tokens", 4)


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """Run in a folder of its own, beside a file of triples."""
    monkeypatch.chdir(tmp_path)
    lines = [
        json.dumps(
            {"original_text": "x", "rewritten_text": "y", "rewrite_prompt": p, "llm_prediction": q}
        )
        for p, q in ROWS * 4
    ]
    Path("triples.jsonl").write_text("\n".join(lines))


@pytest.fixture
def no_model(monkeypatch):
    """Fail the test where a model is loaded: bad input must be found before."""
    monkeypatch.setattr(
        "mean_prompt.runs.recipe.load_encoder", lambda *_, **__: pytest.fail("a model was loaded")
    )


@pytest.fixture
def model(monkeypatch, tiny_bert):
    monkeypatch.setattr("mean_prompt.runs.recipe.load_encoder", lambda *_, **__: tiny_bert)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tiny_bert
    torch.set_num_threads(threads)


@pytest.fixture
def run(program):
    """Return a function that runs the program in this process: exit code, stdout, stderr."""
    return partial(program, "search")


@pytest.mark.usefixtures("model")
def test_it_prints_what_the_affix_does_and_leaves_the_run(run):
    code, out, err = run("--context", "triples.jsonl", *QUICK, "--out", "run", "--position=prefix")
    assert code == 0
    assert "20 triples from 20 rows of triples.jsonl" in err
    for word in ("searched", "held out", "all", "prefix"):
        assert word in out
    found = Path("run/best.txt").read_text("utf-8")
    assert {path.name for path in Path("run").iterdir()} == {
        *(
            "best.txt",
            "result.json",
            "events.jsonl",
            "recipe.toml",
            "checkpoint.bin",
            "report.html",
        ),
        *(["rows.json"] if found else []),
    }
    recipe = tomllib.loads(Path("run/recipe.toml").read_text("utf-8"))
    assert recipe["context"]["triples"] == "triples.jsonl"
    assert recipe["context"]["position"] == "prefix"
    assert "sources" not in recipe["corpus"] or recipe["corpus"]["sources"] == []


@pytest.mark.usefixtures("model")
def test_a_runs_own_recipe_repeats_it(run):
    assert run("--context", "triples.jsonl", *QUICK, "--out", "one", "-q")[0] == 0
    code, out, _ = run("--recipe", "one/recipe.toml", "--out", "two", "-q")
    assert code == 0
    assert out == Path("one/best.txt").read_text("utf-8") + "\n"
    assert Path("two/best.txt").read_bytes() == Path("one/best.txt").read_bytes()


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--position", "prefix"], "give --context TRIPLES"),
        (["--context-column", "x"], "give --context TRIPLES"),
        (["--context", "none.csv"], "none.csv"),
        (["--context", "triples.jsonl", "--context-column", "guess"], "guess"),
        (["--context", "empty.jsonl"], "empty.jsonl"),
        (["--context", "header.csv"], "header.csv has a header alone"),
        (["--context", "blank.csv"], "must have rows with a prediction"),
        (["corpus.txt", "--context", "triples.jsonl"], "without a corpus: found corpus.txt"),
        (["--column", "p", "--context", "triples.jsonl"], "without a corpus: found the column"),
        (["--context", "triples.jsonl", "--budget", "soon"], "a duration"),
    ],
)
def test_bad_input_is_one_line(run, arguments, message):
    header = "original_text,rewritten_text,rewrite_prompt,llm_prediction\n"
    Path("header.csv").write_text(header)
    Path("blank.csv").write_text(header + "x,y,p,\n")
    Path("empty.jsonl").write_text("")
    Path("corpus.txt").write_text("a\nb\n")
    code, out, err = run(*arguments)
    assert code == 2
    assert not out
    assert err.startswith("mean-prompt: ")
    assert err.count("\n") == 1
    assert message in err
    assert not Path("results").exists()


@pytest.mark.usefixtures("no_model")
def test_an_unknown_position_is_bad_usage(run):
    code, _, err = run("--context", "triples.jsonl", "--position", "middle")
    assert code == 2
    assert "middle" in err


@pytest.mark.usefixtures("model")
def test_rows_that_cannot_be_split_are_refused(run):
    Path("same.csv").write_text(
        "original_text,rewritten_text,rewrite_prompt,llm_prediction\nx,y,p,q\nx,y,p,r\n"
    )
    code, _, err = run("--context", "same.csv", *QUICK)
    assert code == 2
    assert "set --holdout 0" in err


def test_an_affix_that_helps_nobody_is_said_to(model):
    found = api.search_affix("triples.jsonl", max_evaluations=1, max_tokens=4, model=model)
    assert found.string == ""
    console = Console(width=120, file=io.StringIO())
    print_affix(found, console)
    assert "No suffix was found that is better than none" in console.file.getvalue()
