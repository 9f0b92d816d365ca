"""A real notebook: a kernel runs its cells, and what came out is looked at."""

import json
import re
from html import unescape
from itertools import pairwise
from types import SimpleNamespace

import nbformat
import pytest
from nbclient import NotebookClient

HOSTILE = (
    "<script>document.title='x'</script> & \"quoted\" \N{HEBREW LETTER ALEF} " + "very " * 2_000
)
PROMPTS = [HOSTILE, "make it a poem", "write it as a story", "keep the tone formal", " "]

CELLS = {
    "corpus": """\
from mean_prompt import Corpus, progress_display, score, search
corpus = Corpus.from_prompts({prompts!r}, name="<b>mine</b>")
corpus""",
    "search": """\
with progress_display() as listener:
    result = search(
        corpus, model={model!r}, max_evaluations=300, max_tokens=8, out={out!r}, listener=listener
    )
result""",
    "score": """\
[scored] = score([corpus.prompts[0]], corpus, model={model!r})
scored""",
    "interrupt": """\
import os, signal
pressed = []
def press(progress):
    listener(progress)
    if progress.phase == "searching" and progress.done > 50 and not pressed:
        pressed.append(progress)
        os.kill(os.getpid(), signal.SIGINT)
with progress_display() as listener:
    stopped = search(corpus, model={model!r}, budget="10m", max_tokens=8, listener=press)
stopped""",
    "fail": """\
with progress_display() as listener:
    search(corpus, model="no/such model", listener=listener)""",
    "forget": """\
search(corpus, model={model!r}, max_evaluations=600, listener=progress_display())""",
}


class Client(NotebookClient):
    """Keeps what the kernel said while a cell ran, as (cell, message)."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.said = []

    def process_message(self, msg, cell, cell_index):
        self.said.append((cell_index, msg))
        return super().process_message(msg, cell, cell_index)


@pytest.fixture(scope="module")
def played(tiny_t5_folder, tmp_path_factory):
    """Run the cells; return the outputs of each, what the kernel said, and the run's folder."""
    place = tmp_path_factory.mktemp("notebook")
    values = {"prompts": PROMPTS, "model": str(tiny_t5_folder), "out": str(place / "run")}
    cells = [nbformat.v4.new_code_cell(source.format(**values)) for source in CELLS.values()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    with pytest.MonkeyPatch.context() as patch:
        # Neither the user's kernels nor his settings: there are those of this environment alone.
        for name in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(place / name))
        patch.delenv("JUPYTER_PATH", raising=False)
        client = Client(notebook, timeout=300, kernel_name="python3", allow_errors=True)
        client.execute()
    nbformat.validate(notebook)
    outputs = dict(zip(CELLS, (cell.outputs for cell in notebook.cells), strict=True))
    return SimpleNamespace(outputs=outputs, said=client.said, run=place / "run")


def kinds(played, name):
    """Return the kinds of a cell's outputs; libraries may print, this package does not."""
    return [output.output_type for output in played.outputs[name] if output.output_type != "stream"]


def pages(played, name):
    return [
        out.data["text/html"] for out in played.outputs[name] if "text/html" in out.get("data", {})
    ]


def words(html):
    """Return what a reader sees of a page."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def updates(played, name):
    """Return the pages that a cell's display was given, in their order."""
    number = list(CELLS).index(name)
    return [
        (message["content"]["transient"]["display_id"], message["content"]["data"]["text/html"])
        for cell, message in played.said
        if cell == number and message["msg_type"] in {"display_data", "update_display_data"}
    ]


def test_a_corpus_shows_what_became_of_its_prompts(played):
    assert kinds(played, "corpus") == ["execute_result"]
    [html] = pages(played, "corpus")
    assert words(html).startswith("corpus of 4 prompts")
    assert "<b>mine</b> 4 5 1 0 1 by its rows <b>mine</b>" in words(html)
    assert "make it a poem" in words(html)
    [output] = [out for out in played.outputs["corpus"] if "data" in out]
    assert output.data["text/plain"] == "<Corpus of 4 prompts from <b>mine</b>>"


def test_hostile_prompts_are_shown_and_do_nothing(played):
    for name in ("corpus", "search", "score"):
        for html in pages(played, name):
            assert not re.search(r"<(script|b|img|a|iframe|object|style|link)\b", html)
    [html] = pages(played, "corpus")
    assert "&lt;script&gt;document.title=" in html
    assert f"({len(HOSTILE.strip()):,} characters)" in html
    assert len(html) < 10_000


def test_a_result_shows_the_figures_of_its_file(played):
    assert kinds(played, "search") == ["display_data", "execute_result"]
    shown = words(pages(played, "search")[-1])
    found = json.loads((played.run / "result.json").read_text("utf-8"))
    low, high = found["holdout_interval"]
    assert found["string"] in shown
    for figure in (
        f"expected SCS {found['score']:.5f}, {found['fraction']:.3f} of the ceiling",
        f"found {found['score']:.5f} {found['fraction']:.3f}",
        f"hold-out {found['holdout_score']:.5f} (95 % interval {low:.5f} to {high:.5f})",
        f"{found['tokens']} tokens, {found['evaluations']:,} evaluations in",
        f"saved in {played.run}",
    ):
        assert figure in shown
    for row in found["baselines"]:
        assert f"{row['name']} {row['score']:.5f} {row['score'] / found['ceiling']:.3f}" in shown


def test_progress_is_one_output_that_is_redrawn(played):
    drawn = updates(played, "search")
    assert len({name for name, _ in drawn}) == 1
    titles = [words(html) for _, html in drawn]
    assert titles[0] == "loading"
    assert titles[-1].startswith("mean-prompt search")
    assert len(set(titles)) > 3
    # What stands in the notebook is what was drawn last: the end of the search.
    assert pages(played, "search")[0] == drawn[-1][1]
    found = json.loads((played.run / "result.json").read_text("utf-8"))
    assert f"evaluations {found['evaluations']:,}" in titles[-1]
    assert f"score {found['train_score']:.5f}" in titles[-1]
    assert "4 prompts of 5 rows (1 empty" in titles[-1]


def test_progress_is_redrawn_a_few_times_a_second(played):
    number = list(CELLS).index("search")
    drawn = [
        message["header"]["date"].timestamp()
        for cell, message in played.said
        if cell == number and message["msg_type"] == "update_display_data"
    ]
    # The last one alone is not held back.
    pauses = [after - before for before, after in pairwise(drawn[:-1])]
    assert min(pauses) > 0.15


def test_a_string_that_was_scored_shows_itself(played):
    [html] = pages(played, "score")
    assert words(html).startswith("expected SCS ")
    assert "the model reads only its beginning" in words(html)
    assert f"({len(HOSTILE.strip()):,} characters)" in html


def test_the_stop_button_ends_a_search_with_its_result(played):
    assert kinds(played, "interrupt") == ["display_data", "execute_result"]
    assert "stopped early" in words(pages(played, "interrupt")[-1])
    assert words(pages(played, "interrupt")[0]).startswith("mean-prompt search")


def test_a_search_that_fails_leaves_its_error_alone(played):
    assert kinds(played, "fail") == ["display_data", "error"]
    assert played.outputs["fail"][-1].ename == "InputError"


def test_a_display_outside_its_block_says_what_is_missing(played):
    assert kinds(played, "forget") == ["error"]
    assert "with progress_display() as listener:" in played.outputs["forget"][-1].evalue
