"""What the documents say is run or counted here."""

import json
import re
import shlex
from pathlib import Path

import pytest
import typer

from mean_prompt.cli.app import app
from mean_prompt.corpus.corpus import Corpus

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
DATASHEET = (ROOT / "corpora" / "DATASHEET.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", blocks("python"))
def test_python_snippets_run(block, capsys):
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out


def commands():
    whole = (block.replace("\\\n", "") for block in blocks("sh"))
    lines = (line for block in whole for line in block.splitlines())
    return [line for line in lines if line.startswith("mean-prompt")]


@pytest.mark.parametrize("line", commands())
def test_command_lines_are_understood(line):
    name, *words = shlex.split(line, comments=True)
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    context = command.make_context(name, words)
    assert context.params


def test_make_targets_exist():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"^make (\w+)", "\n".join(blocks("sh")), re.MULTILINE)
    assert named[:2] == ["search", "test"]
    assert set(named) <= set(targets)


def test_links_within_the_project_lead_somewhere():
    for document in (ROOT / "README.md", ROOT / "search" / "README.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8")):
            assert (document.parent / target).exists(), target


def test_the_map_of_the_code_names_what_is_there():
    rows = re.findall(r"^\| (`[^|]*) \|", README.split("## The code")[1], re.MULTILINE)
    for row in rows:
        for name in re.findall(r"`([\w./]+)`", row):
            assert (ROOT / name).exists() or (ROOT / "mean_prompt" / name).exists(), name


def test_the_corpora_are_as_many_as_the_documents_say():
    files = {
        path.name: [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for path in (ROOT / "corpora").glob("*.jsonl")
    }
    for name, rows in files.items():
        assert f"| `{name}` | {len(rows):,} |" in DATASHEET
        columns = ", ".join(f"`{column}`" for column in rows[0])
        assert columns in DATASHEET
    total = sum(map(len, files.values()))
    assert f"{total:,} rewrite prompts" in README
    assert f"{total:,} rows" in DATASHEET
    assert Corpus.from_files(ROOT / "corpora").sources[0].rows == total


def test_triples_keep_to_their_rules():
    text = (ROOT / "corpora" / "triples.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    assert len(rows) >= 150
    assert len({row["rewrite_prompt"].lower() for row in rows}) == len(rows)
    for row in rows:
        assert 40 <= len(row["original_text"].split()) <= 150, row["id"]
        assert row["rewritten_text"].strip() not in {"", row["original_text"].strip()}
        assert row["rewrite_prompt"].strip()
