"""Whatever is written: a full or a closed disk is one line, and what was good before stays good."""

import io
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyarrow import csv as arrow_csv, parquet

from mean_prompt import api, cli
from mean_prompt.corpus.triples import Rows
from mean_prompt.encoder.cache import VectorCache, cached_arrays
from mean_prompt.hybrid.answer import Answer
from mean_prompt.hybrid.journal import Journal
from mean_prompt.hybrid.settings import BlendSettings, FitOutcome
from mean_prompt.hybrid.submission import Submission
from mean_prompt.llm.base import Prediction
from mean_prompt.llm.cache import CachedPredictor
from mean_prompt.runs.checkpoint import Checkpoint
from mean_prompt.runs.files import BEST, EVENTS
from mean_prompt.runs.folder import RunFolder
from mean_prompt.system.errors import InputError, MeanPromptError, RunError
from tests.disks import FULL

#: More than SQLite and Python hold back before they write.
LARGE = "x" * 20_000
READ_ONLY = r"(Read-only file system|unable to open database file)"


class Writer:
    """Something that writes: ``old`` first, ``new`` on a disk that takes nothing.

    Attributes:
        error: what it raises then, with ``says`` in its message.
        fits_a_page: whether what it writes is so small that it fits or does not, and never half.
        remedy: that the message ends with.
    """

    error: type[MeanPromptError] = RunError
    fits_a_page = False
    says = ""
    remedy = "what was written before is whole"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, text: str) -> None:
        raise NotImplementedError

    def assert_holds(self, text: str) -> None:
        raise NotImplementedError

    def close_files(self) -> None:
        """Close the files that stay open, which keep a disk from being made read-only."""


class InRun(Writer):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.run = RunFolder(folder / "run")

    def close_files(self):
        self.run.close()

    def whole(self, name: str) -> str:
        return self.run.file(name).read_text("utf-8")


class Best(InRun):
    says = BEST

    def write(self, text):
        self.run.write_best(text)

    def assert_holds(self, text):
        assert self.whole(BEST) == text


class Events(InRun):
    says = EVENTS

    def write(self, text):
        self.run.log({"event": "best", "time": float(len(text)), "text": text})

    def assert_holds(self, text):
        # A torn line may follow it, which a resumed run drops.
        assert f'"text": "{text}"' in self.whole(EVENTS)


class State(Writer):
    """A checkpoint of a search, which replaces the one before."""

    says = "checkpoint.bin"

    def write(self, text):
        Checkpoint(self.folder / "checkpoint.bin").save({"spent": 1.0, "text": text})

    def assert_holds(self, text):
        assert Checkpoint(self.folder / "checkpoint.bin").saved["text"] == text


class Vectors(Writer):
    error = InputError
    says = "the cache of vectors"
    remedy = "set MEAN_PROMPT_CACHE to a folder"

    def write(self, text):
        texts = [text, *(f"{text} {number}" for number in range(40))]
        VectorCache("key", self.folder).encode(texts, lambda texts: self._encode(len(texts)))

    def assert_holds(self, text):
        found = VectorCache("key", self.folder).encode([text], lambda _: pytest.fail("is lost"))
        assert found.shape == (1, 512)

    @staticmethod
    def _encode(rows):
        return np.ones((rows, 512), np.float32)


class Arrays(Writer):
    error = InputError
    says = "the cache of arrays"
    remedy = "set MEAN_PROMPT_CACHE to a folder"

    def write(self, text):
        cached_arrays(f"key-{len(text)}", lambda: [np.ones(9_999, np.float32)])

    def assert_holds(self, text):
        cached_arrays(f"key-{len(text)}", lambda: pytest.fail("is lost"))


class Predictions(Writer):
    error = InputError
    says = "the cache of predictions"
    remedy = "set MEAN_PROMPT_CACHE to a folder"
    identity = "echo"

    def predict(self, rows, examples=None, *, deadline=None):  # noqa: ARG002
        for row, text in enumerate(rows.originals):
            yield Prediction(row, (text,), raw=(text,))

    def notes(self):
        return []

    def write(self, text):
        rows = Rows(("a",), (text,), ("rewritten",))
        assert [one.texts for one in CachedPredictor(self, self.folder).predict(rows)] == [(text,)]

    def assert_holds(self, text):
        cached = CachedPredictor(self, self.folder)
        list(cached.predict(Rows(("a",), (text,), ("rewritten",))))
        assert cached.notes() == ["from the cache: 1 rows"]


class InJournal(Writer):
    remedy = "the submission is whole"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.journal = Journal(folder / "out.csv", {"seed": 0}, resume=False)

    def again(self):
        return Journal(self.folder / "out.csv", {"seed": 0}, resume=True)


class Answers(InJournal):
    says = "answers.jsonl"
    answer = Answer("a", "", "prediction", 0.25, 0.5, "blend", 9, with_llm=True)

    def write(self, text):
        self.journal.record([replace(self.answer, id=str(len(text)), text=text)])

    def assert_holds(self, text):
        assert self.journal.answers()[str(len(text))].text == text


class Fit(InJournal):
    says = "fit.json"
    fits_a_page = True

    def write(self, text):
        self.journal.record_fit(self.outcome(text))

    def assert_holds(self, text):
        assert self.journal.fit() == self.outcome(text)

    @staticmethod
    def outcome(text):
        return FitOutcome(text=BlendSettings(strength=len(text)))


class Table(InJournal):
    says = "out.parquet"
    fits_a_page = True

    def write(self, text):
        self.journal.write_table([replace(Answers.answer, text=text)])

    def assert_holds(self, text):
        assert parquet.read_table(self.journal.table)["text"].to_pylist() == [text]


class AsSubmission(Writer):
    says = "out.csv"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.submission = Submission(folder / "out.csv", ["a", "b"], "universal")

    def write(self, text):
        self.submission.put(0, text)
        self.submission.save()

    def assert_holds(self, text):
        assert arrow_csv.read_csv(self.folder / "out.csv").to_pydict() == {
            "id": ["a", "b"],
            "rewrite_prompt": [text, "universal"],
        }


WRITERS = [Best, Events, State]
WRITERS += [Vectors, Arrays, Predictions]
WRITERS += [Answers, Fit, Table, AsSubmission]


@pytest.fixture(params=WRITERS, ids=lambda writer: writer.__name__)
def make(request, monkeypatch):
    """Return what makes a writer in a folder, whose caches are there too."""

    def make(folder):
        monkeypatch.setenv("MEAN_PROMPT_CACHE", str(folder))
        return request.param(folder)

    return make


def refused(writer, says):
    """Let a writer write what the disk does not take; return what it said."""
    with pytest.raises(writer.error) as caught:
        writer.write(LARGE)
    told = str(caught.value)
    assert re.search(says, told), told
    assert writer.says in told
    assert writer.remedy in told
    assert "\n" not in told
    assert "delete" not in told
    return told


def files(folder):
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_a_full_disk_is_one_line_and_the_last_good_files_are_whole(make, full_disk):
    """Half of the new file fits on it."""
    writer = make(full_disk.folder)
    writer.write("old")
    before = files(full_disk.folder)
    with full_disk.full(left=0 if writer.fits_a_page else 4096):
        refused(writer, FULL)
    writer.assert_holds("old")
    # SQLite's own two files beside a database may come and go.
    assert {name for name in files(full_disk.folder) ^ before if "sqlite-" not in name} == set()
    writer.write(LARGE[:9_000])
    writer.assert_holds(LARGE[:9_000])


def test_a_full_cache_says_so(full_disk):
    if not hasattr(full_disk, "read_only"):
        pytest.skip("SQLite tells a full disk from other faults, but not a limit")
    for writer in (Vectors(full_disk.folder), Predictions(full_disk.folder)):
        writer.write("old")
        with full_disk.full():
            told = refused(writer, f"needs room on its disk: .*: {FULL}; free")
        assert told.endswith("free some, or set MEAN_PROMPT_CACHE to a folder on another disk")


def test_a_read_only_disk_is_one_line_and_the_last_good_files_are_whole(make, closed_disk):
    writer = make(closed_disk.folder)
    writer.write("old")
    writer.close_files()
    before = files(closed_disk.folder)
    with closed_disk.read_only():
        refused(writer, READ_ONLY)
        assert files(closed_disk.folder) == before
    writer.assert_holds("old")
    writer.write(LARGE[:9_000])
    writer.assert_holds(LARGE[:9_000])


def test_nothing_begins_on_a_read_only_disk(closed_disk, monkeypatch):
    folder = closed_disk.folder
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(folder))
    with closed_disk.read_only():
        for begin in (
            lambda: RunFolder(folder / "run"),
            lambda: Submission(folder / "out.csv", ["a"], "x"),
            lambda: Journal(folder / "out.csv", {}, resume=False),
            lambda: VectorCache("key"),
            lambda: CachedPredictor(Predictions(folder)),
        ):
            with pytest.raises(InputError, match=READ_ONLY) as caught:
                begin()
            assert "\n" not in str(caught.value)
    assert files(folder) == set()


def test_a_command_with_a_full_cache_ends_in_one_line(full_disk, tiny_bert, monkeypatch):
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(full_disk.folder))
    monkeypatch.setattr(api, "load_encoder", lambda *_, **__: tiny_bert)
    monkeypatch.setattr(sys, "argv", ["mean-prompt", "score", "a text"])
    # The limit is of this process, whose captured output is a file.
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with full_disk.full(), pytest.raises(SystemExit) as exit_:
        cli.main()
    assert (exit_.value.code, out.getvalue()) == (2, "")
    assert re.fullmatch(rf"mean-prompt: the cache of vectors .*{FULL}; .*\n", err.getvalue())
