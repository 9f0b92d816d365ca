"""What the README and the pages of the site say is run, parsed or counted here."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

import mean_prompt
from mean_prompt.cli.app import app
from mean_prompt.corpus import Corpus
from tests.docs_extensions import commands, rooms

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results" / "benchmarks"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in (
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *(ROOT / folder / "README.md" for folder in ("search", "results", "results/benchmarks")),
        ROOT / "corpora" / "DATASHEET.md",
        ROOT / "CHANGELOG.md",
    )
}
README = PAGES["README.md"]


def blocks(page, language):
    """Return the code blocks of one language on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)


def shell_lines(start):
    """Return every shell line of all pages that begins with a program's name, once each."""
    text = "\n".join(block.replace("\\\n", "") for page in PAGES for block in blocks(page, "sh"))
    return sorted({line for line in text.splitlines() if line.startswith(start)})


# Snippets


@pytest.mark.slow
def test_the_readme_snippet_prints_what_the_readme_says(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    [snippet] = blocks("README.md", "python")
    exec(compile(snippet, "README.md", "exec"), {})
    assert capsys.readouterr().out == blocks("README.md", "text")[-1]


@pytest.mark.parametrize(
    ("page", "number"),
    [
        (page, i)
        for page in PAGES
        if page != "README.md"
        for i in range(len(blocks(page, "python")))
    ],
)
def test_snippets_of_the_site_run(page, number, monkeypatch, capsys, tiny_bert_folder):
    """A tiny model stands in for the packaged one, whose vocabulary takes long to encode."""
    monkeypatch.chdir(ROOT)
    snippet = blocks(page, "python")[number].replace("all-MiniLM-L6-v2", str(tiny_bert_folder))
    exec(compile(snippet, page, "exec"), {})
    assert capsys.readouterr().out


# Command lines


@pytest.mark.parametrize("line", shell_lines("mean-prompt"))
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
    named = re.findall(r"^make (\w+)", blocks("README.md", "sh")[0], re.MULTILINE)
    assert named == ["search", "test"]
    text = "\n".join(PAGES.values())
    assert set(re.findall(r"(?:^|`)make ([a-z]+)(?=`|\s+#|$)", text, re.MULTILINE)) <= set(targets)


def test_benchmark_scripts_exist():
    named = set(re.findall(r"python -m (benchmarks\.\w+)", "\n".join(PAGES.values())))
    assert named
    assert all((ROOT / f"{name.replace('.', '/')}.py").is_file() for name in named)


def test_extras_exist():
    named = set(re.findall(r"mean-prompt\[(\w+)\]", "\n".join(PAGES.values())))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert named
    assert named <= set(project["optional-dependencies"])


# The README and links


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", text)
    links += [(target, "") for target in re.findall(r"^```\{image\} (\S+)$", PAGES[page], re.M)]
    for target in (first or second for first, second in links):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / page).parent / path if path else ROOT / page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found.read_text("utf-8")), target


def anchors(text):
    """Return the names by which the headings of a page can be linked to."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def test_every_page_is_in_the_contents():
    contents = "".join(blocks("docs/index.md", r"\{toctree\}"))
    named = set(re.findall(r"^(?:.+ <)?([a-z-]+)>?$", contents, re.MULTILINE))
    assert named == {Path(page).stem for page in PAGES if page.startswith("docs/")} - {"index"}


# What is generated


def test_the_command_reference_has_every_command_and_option():
    text = commands.reference()
    found = dict(commands.walk())
    assert {"mean-prompt search", "mean-prompt live", "mean-prompt bench methods"} <= set(found)
    sections = dict(re.findall(r"^## `([^`]+)`\n(.*?)(?=^\(command-|\Z)", text, re.M | re.DOTALL))
    assert list(sections) == list(found)
    for name, command in found.items():
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                entry = rf"^`[^`]*{parameter.opts[0]}[^`]*`\n: \S"
                assert re.search(entry, sections[name], re.MULTILINE), (name, parameter.opts)


def test_help_in_the_reference_is_no_markup():
    assert commands._prose("a_b [c]* <d>: --resume").strip() == r"a\_b \[c\]\* \<d\>: `--resume`"


def test_the_reference_describes_every_public_name():
    described = re.findall(r"^\.\. auto\w+:: (\w+)", PAGES["docs/reference.md"], re.MULTILINE)
    assert sorted(described) == sorted(mean_prompt.__all__)


def test_the_drawing_has_every_room_and_arrows_that_point_down():
    sizes, imports = rooms.read_imports()
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers = contract["contracts"][0]["layers"]
    assert set(sizes) <= {name.strip("() ") for layer in layers for name in layer.split("|")}
    edges = rooms.needed(set(imports))
    depth = rooms.heights(set(sizes), edges)
    assert all(depth[first] < depth[second] for first, second in edges)
    drawing, table = rooms.draw(), rooms.table()
    assert all(f">{room}</text>" in drawing and f"| `{room}` |" in table for room in sizes)
    assert drawing.count('class="arrow"') == len(edges)


def test_arrows_that_follow_from_others_are_left_out():
    edges = {("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")}
    assert rooms.needed(edges) == {("a", "b"), ("b", "c"), ("a", "d")}
    assert rooms.heights({"a", "b", "c", "d"}, edges) == {"a": 0, "b": 1, "c": 2, "d": 1}


# Figures


def read(name):
    return json.loads((RESULTS / name).read_text("utf-8"))


def test_figures_of_the_methods_are_those_measured():
    titles = {
        "mean-prompt": r"\*\*mean-prompt\*\*",
        "gcg": r"GCG",
        "random": "random local search",
        "gaslite": "GASLITE",
        "tpe": "TPE",
        "beam": "append-only word beam",
    }
    for row in read("methods-32/methods.json")["summaries"]:
        median, low, high = (f"{row[name]:.3f}" for name in ("median", "low", "high"))
        cells = rf"^\| {titles[row['method']]}[^|]*\| \**{median}\** \| {low} \| {high} \|$"
        assert re.search(cells, PAGES["docs/benchmarks.md"], re.MULTILINE), row
        assert median in README


def test_figures_of_the_answers_are_those_measured():
    scores = {row["name"]: row for row in read("hybrid/llm.json")["methods"]}
    for name in ("hybrid", "LLM alone", "retrieval alone", "universal alone"):
        mean, ratio = f"{scores[name]['mean']:.3f}", f"{scores[name]['ratio']:.3f}"
        cells = rf"^\| [^|]+ \| \**{mean}\** \| \**{'1' if name == 'LLM alone' else ratio}\** \|"
        assert re.search(cells, PAGES["docs/benchmarks.md"], re.MULTILINE), name
    assert all(f"{scores[name]['mean']:.3f}" in README for name in ("hybrid", "LLM alone"))


# The packaged corpora


def test_the_corpora_are_as_many_as_the_documents_say():
    datasheet = PAGES["corpora/DATASHEET.md"]
    files = {
        path.name: [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for path in (ROOT / "corpora").glob("*.jsonl")
    }
    for name, rows in files.items():
        assert f"| `{name}` | {len(rows):,} |" in datasheet
        assert ", ".join(f"`{column}`" for column in rows[0]) in datasheet
    total = sum(map(len, files.values()))
    assert f"{total:,} rewrite prompts" in " ".join(PAGES["docs/getting-started.md"].split())
    assert f"{total:,} rewrite prompts" in " ".join(README.split())
    assert f"{total:,} rows" in datasheet
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
