"""Embedding resumes after any kill, repairs what is damaged, and refuses to mix two works."""

import os
import signal
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from mean_prompt.corpus.vectors.folder import VectorFolder
from mean_prompt.corpus.vectors.job import embed
from mean_prompt.system import files as atomic
from mean_prompt.system.errors import InputError, RunError
from mean_prompt.system.locks import FolderLock
from mean_prompt.system.progress import ProgressEvent
from tests.corpus.conftest import PROMPTS, ROWS, contents, stop_after
from tests.fakes import WORDS, FakeEncoder

# One run


def test_a_corpus_becomes_shards_that_are_left_as_they_are(make, corpus_file, fake):
    found = make()
    assert found.complete
    assert (found.made, found.damaged) == (4, 0)
    assert found.manifest.prompts == 38
    assert [source.path for source in found.sources] == [str(corpus_file)]
    assert sorted(contents(found.out)) == [
        "manifest.json",
        *(f"prompts-0000{number}.parquet" for number in range(4)),
        *(f"vectors-0000{number}.safetensors" for number in range(4)),
    ]
    before = contents(found.out)
    again = make()
    assert (again.complete, again.made, again.damaged) == (True, 0, 0)
    assert contents(again.out) == before
    assert fake.encoded == 38


def test_progress_is_reported(make):
    events = []
    make(listener=events.append)
    assert events == [
        *(ProgressEvent("reading the corpus", done, None, "prompts") for done in (10, 20, 30, 38)),
        *(ProgressEvent("embedding", done, 38, "prompts") for done in (0, 10, 20, 30, 38)),
    ]


def test_the_packaged_corpus_is_embedded_where_none_is_given(tmp_path, monkeypatch, fake):
    monkeypatch.chdir(tmp_path)
    Path("corpora").mkdir()
    Path("corpora/mine.txt").write_text("\n".join(PROMPTS))
    found = embed(None, "vectors", model=fake)
    assert found.manifest.prompts == len(PROMPTS)
    assert found.sources[0].path == "corpora"


def test_several_files_and_a_column(tmp_path, make):
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text("style\n" + "".join(f"{p}\n" for p in PROMPTS[:20]))
    second.write_text("style,prompt\n" + "".join(f"{p},x\n" for p in PROMPTS[20:]))
    found = make([f"mine={first}", second], column="style")
    assert [source.name for source in found.sources] == ["mine", "b"]
    assert found.manifest.column == "style"
    assert [prompt for prompt, _ in VectorFolder.open(found.out).all_prompts()] == PROMPTS


# Interrupted


def test_a_signal_ends_it_after_the_shard_in_hand(make):
    for number, shards in ((signal.SIGINT, 1), (signal.SIGTERM, 3)):
        found = make(listener=stop_after(shards, number))
        assert not found.complete
        assert len(found.manifest.unfinished) == 4 - shards
    done = make()
    assert (done.complete, done.made) == (True, 1)


class Killed(BaseException):
    """Ends the work anywhere, as a kill does: nothing catches it."""


def killed_at(monkeypatch, step):
    """Let the process die at the n-th time that something is brought to the disk, or placed."""
    steps = iter(range(10**6))

    def dying(function):
        def die(*args, **options):
            if next(steps) == step:
                raise Killed
            return function(*args, **options)

        return die

    monkeypatch.setattr(atomic.os, "fsync", dying(os.fsync))
    monkeypatch.setattr(Path, "replace", dying(Path.replace))
    # A kill leaves files behind.
    monkeypatch.setattr(Path, "unlink", lambda *_args, **_options: None)


def test_a_kill_at_any_step_loses_a_shard_at_most(make, tmp_path, monkeypatch):
    whole = contents(make(out=tmp_path / "whole", shard=20).out)
    left = []
    for step in range(100):
        out = tmp_path / f"killed-{step}"
        with monkeypatch.context() as patch, suppress(Killed):
            killed_at(patch, step)
            make(out=out, shard=20)
            break  # it came through: there are no more steps
        finished = make(out=out, shard=20)
        left.append(finished.made)
        assert finished.complete
        assert finished.damaged == 0
        assert contents(out) == whole
    assert len(left) > 12
    assert left == sorted(left, reverse=True)
    assert set(left) == {0, 1, 2}


# Damaged


@pytest.mark.parametrize(
    ("name", "damage"),
    [("prompts-00001.parquet", "gone"), ("vectors-00003.safetensors", "byte")],
)
def test_a_damaged_shard_is_embedded_again(make, fake, name, damage):
    found = make()
    before = contents(found.out)
    data = bytearray(before[name])
    data[-1] ^= 1
    (found.out / name).unlink()
    if damage == "byte":
        (found.out / name).write_bytes(data)
    encoded = fake.encoded
    repaired = make()
    assert (repaired.made, repaired.damaged) == (1, 1)
    assert contents(repaired.out) == before
    assert fake.encoded - encoded == (8 if "3" in name else 10)
    for path in found.out.glob("*-*"):
        path.unlink()
    assert make().damaged == 4
    assert contents(found.out) == before


# Another work


def refused(make, message, **options):
    out = options.get("out")
    before = contents(out) if out and out.is_dir() else None
    with pytest.raises(InputError, match=message):
        make(**options)
    assert before is None or contents(out) == before


def test_another_corpus_is_refused_with_the_place_of_the_difference(make, write):
    out = make().out
    changed = [*ROWS[:25], "rewrite another story", *ROWS[26:]]
    different = r"vectors is not: the corpus is another from within prompts 21 to 30 on; choose"
    refused(make, different, corpus=write(changed, "b.jsonl"), out=out)
    longer = [*ROWS, "rewrite another story"]
    refused(make, "from within prompts 31 to 39 on", corpus=write(longer, "d.jsonl"), out=out)
    shorter = write(ROWS[:31], "e.jsonl")
    refused(make, "had 38 prompts, and has 30 now", corpus=shorter, out=out)
    assert make(corpus=write(ROWS, "renamed.jsonl")).complete


def test_another_model_column_or_shard_is_refused(make):
    out = make().out
    other = FakeEncoder(seed=1)
    refused(
        make, r"its model is fake \(fake-0-6.*\), and fake \(fake-1-6.*\) is asked", model=other
    )
    refused(make, "begun with the column guessed, not with --column prompt", column="prompt")
    refused(make, "its shards are of 10 prompts, and 11 are asked", shard=11)
    assert VectorFolder.open(out).manifest.unfinished == []


def test_a_folder_of_something_else_is_left_alone(make, tmp_path, fake):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    refused(make, "notes holds something else; choose another", out=tmp_path / "notes")
    refused(make, "mine.txt holds something else", out=tmp_path / "notes" / "mine.txt")
    assert fake.encoded == 0
    assert contents(tmp_path / "notes") == {"mine.txt": b"mine"}


def test_places_that_would_be_read_the_next_time_are_refused(make, tmp_path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.txt").write_text("\n".join(PROMPTS))
    inside = tmp_path / "corpus" / "deep" / "vectors"
    refused(make, "must be outside of the corpus: .*vectors is in ", corpus=tmp_path, out=inside)
    vectors = make().out
    refused(make, "is a folder of vectors", corpus=vectors, out=tmp_path / "again")
    assert not inside.exists()
    remedy = r"found .*corpus:3; embed each .* a search NAME=FOLDER:WEIGHT"
    refused(make, remedy, corpus=f"mine={tmp_path / 'corpus'}:3")


def test_two_processes_do_not_write_one_folder(make, tmp_path):
    out = tmp_path / "vectors"
    out.mkdir()
    with FolderLock(out):
        refused(make, "written by one process at a time", out=out)
    assert make().complete


def test_a_bad_corpus_makes_no_folder(make, tmp_path, write):
    out = tmp_path / "vectors"
    refused(make, "must hold prompts: .* has 3 rows, none with text", corpus=write(["", " ", "\n"]))
    broken = write(PROMPTS, "b.jsonl")
    broken.write_text(broken.read_text() + "no JSON\n")
    refused(make, "b.jsonl: line 37: ", corpus=broken)
    refused(make, "must exist: found no file or folder gone.csv", corpus="gone.csv")
    assert not out.exists()


@pytest.mark.parametrize("change", ["shorter", "other"])
def test_a_corpus_that_changes_meanwhile_is_noticed(make, write, change):
    def listen(event):
        if event.phase == "embedding" and event.done == 0:
            write(ROWS[:10] if change == "shorter" else [*ROWS[:12], *reversed(ROWS[12:])])

    with pytest.raises(RunError, match="must stay as it is while it is embedded"):
        make(listener=listen)
    write(ROWS)
    done = make()
    assert done.complete
    assert done.made == 3


def test_a_full_disk_ends_it_with_what_there_is(make, monkeypatch):
    written = []

    def full(files):
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(files)
        return atomic.write_together(files)

    with monkeypatch.context() as patch:
        patch.setattr("mean_prompt.corpus.vectors.folder.write_together", full)
        with pytest.raises(RunError, match=r"No space left on device; .*the same command resumes"):
            make()
    done = make()
    assert (done.complete, done.made) == (True, 1)


# Memory


def test_memory_does_not_grow_with_the_corpus(tmp_path, fake, monkeypatch):
    def peak(count):
        path = tmp_path / f"{count}.txt"
        path.write_text("".join(f"{WORDS[n % 10]} {n} the {WORDS[n % 7]}\n" for n in range(count)))
        tracemalloc.start()
        embed(path, tmp_path / f"vectors-{count}", model=fake, shard=100)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    monkeypatch.setattr("mean_prompt.corpus.tables._BLOCK", 2**12)
    peak(100)  # imports
    few, many = peak(300), peak(1_500)
    # A shard's entry in the manifest takes a kilobyte or two while that is written.
    assert many < 1.2 * few + 12 * 2_000
