"""Which display is chosen where, and what terminals and log files are shown."""

import io
import re

import pytest
from rich.console import Console

from mean_prompt import progress_display
from mean_prompt.report.progress import choose, notebook, terminal as module
from mean_prompt.report.progress.notebook import NotebookDisplay
from mean_prompt.report.progress.terminal import Display, LiveDisplay, LogDisplay
from mean_prompt.runs.progress import SearchProgress
from mean_prompt.system.errors import InputError
from mean_prompt.system.progress import ProgressEvent


def searching(text, *, done=100, score=0.1):
    return SearchProgress(
        "searching", done, None, seconds=3.0, remaining=57.0, rate=33.0, score=score, text=text
    )


def loaded(note):
    return SearchProgress("loaded", 0, 50, seconds=0.5, remaining=9.0, notes=(note,))


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose last number is what the clock says."""
    times = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: times[-1])
    return times


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200, highlight=False)


def printed(console):
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(
    ("place", "quiet", "kind"),
    [
        ({"force_terminal": True}, False, LiveDisplay),
        ({"force_terminal": False}, False, LogDisplay),
        ({"force_jupyter": True}, False, NotebookDisplay),
        ({"force_jupyter": True}, True, Display),
        ({"force_terminal": True}, True, Display),
    ],
)
def test_the_display_fits_the_place(monkeypatch, place, quiet, kind):
    def console(**options):
        assert options["stderr"]
        return Console(**options, **place)

    monkeypatch.setattr(choose, "Console", console)
    assert type(progress_display(quiet=quiet)) is kind


def test_a_log_says_when_a_phase_begins_when_something_is_gained_and_that_it_lives(console, clock):
    with LogDisplay(console) as listener:
        listener(loaded("50 prompts [read]"))
        listener(SearchProgress("embedding", 0, 50, seconds=1.0, remaining=9.0))
        listener(SearchProgress("embedding", 25, 50, seconds=1.5, remaining=9.0))
        listener(SearchProgress("vocabulary", 7, 70, seconds=2.0, remaining=9.0))
        listener(searching("a"))
        listener(searching("b"))
        clock.append(102.5)
        listener(searching("c"))
        clock.append(112.0)
        listener(searching("c", done=101))
        clock.append(112.6)
        listener(searching("c", done=102))
    assert [re.sub(r"^ *\d+\.\ds ", "", line) for line in printed(console)] == [
        "50 prompts [read]",
        "embedding the corpus: 0 of 50",
        "embedding the vocabulary: 7 of 70",
        *(
            f"score 0.10000, of the ceiling 0.000, evaluations {done}, per second 33, climb 1, "
            f"time left 57s: {text}"
            for text, done in (("a", 100), ("c", 100), ("c", 102))
        ),
    ]


def test_other_work_is_shown_by_its_phase_and_counts(console, clock):
    with LogDisplay(console) as listener:
        for done, second in ((1, 0), (2, 1), (4, 11)):
            clock.append(100.0 + second)
            listener(ProgressEvent("reading rows", done, 9, "rows"))
        listener(ProgressEvent("asking the LLM", 0))
    assert [line.split("s ", 1)[1] for line in printed(console)] == [
        "reading rows: 1 of 9 rows",
        "reading rows: 4 of 9 rows",
        "asking the LLM: 0",
    ]
    bar = Console(file=io.StringIO(), width=80, force_terminal=True)
    with LiveDisplay(bar) as listener:
        listener(ProgressEvent("reading rows", 4, 9, "rows"))
    assert "4 of 9 rows" in bar.file.getvalue()


def test_a_terminal_is_redrawn_and_left_as_it_was():
    console = Console(
        file=io.StringIO(),
        width=80,
        force_terminal=True,
        highlight=False,
        color_system="standard",
        _environ={"TERM": "xterm"},
    )
    with LiveDisplay(console) as listener:
        listener(loaded("50 prompts [read]"))
        listener(searching("keep a tone"))
        listener(searching("keep the [tone]"))
        listener(loaded("a worker was lost"))
    said = console.file.getvalue()
    assert "50 prompts [read]" in said
    assert "a worker was lost" in said
    assert "keep\x1b[1;32m the\x1b[0m\x1b[1;32m [tone]\x1b[0m" in said
    # The lines of the panel are erased at the end, one by one.
    assert said.rpartition("mean-prompt search")[2].count("\x1b[1A\x1b[2K") >= 5


def test_notes_in_the_midst_of_a_search_leave_it_shown_in_a_notebook(console, monkeypatch):
    class Handle:
        def update(self, said, *, raw):
            assert raw
            drawn.append(said)

    drawn = []
    monkeypatch.setattr(notebook, "display", lambda *_, **_options: Handle())
    with NotebookDisplay(console) as listener:
        listener(searching("keep a tone"))
        listener(loaded("a worker was lost"))
    assert "keep a tone" in drawn[-1]["text/plain"]
    assert "a worker was lost" in drawn[-1]["text/html"]
    assert "100</strong>" in drawn[-1]["text/html"]


@pytest.mark.parametrize("kind", [Display, LogDisplay, LiveDisplay, NotebookDisplay])
def test_outside_its_block_a_display_says_what_to_write(kind, console):
    display = kind(console)
    with pytest.raises(InputError, match=r"write `with progress_display\(\) as listener:`"):
        display(searching("a"))
