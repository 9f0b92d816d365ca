import json
import os
import signal

import pytest

from mean_prompt.corpus.vectors.job import embed
from tests.fakes import WORDS, FakeEncoder

#: Prompts of the words that the fake encoder knows: 36 different ones, most in one shard of ten.
PROMPTS = [
    f"{WORDS[first]} the {WORDS[second]} {WORDS[first + second]}"
    for first in range(6)
    for second in range(4)
] + [f"make {first} {second}" for first in WORDS[:4] for second in WORDS[4:7]]
#: The same as somebody's file has them: blanks around, blank rows, and repeats near and far.
ROWS = [*PROMPTS[:15], f" {PROMPTS[3]}\n", "", *PROMPTS[15:], "  ", PROMPTS[0], PROMPTS[30]]
SHARD = 10


@pytest.fixture
def fake():
    return FakeEncoder()


@pytest.fixture
def write(tmp_path):
    """Return a function that writes prompts as JSONL; it returns the path."""

    def write(prompts, name="corpus.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
        return path

    return write


@pytest.fixture
def corpus_file(write):
    return write(ROWS)


@pytest.fixture
def make(corpus_file, tmp_path, fake):
    """Return a function that embeds that corpus, in shards of ten."""

    def make(corpus=corpus_file, out=tmp_path / "vectors", **options):
        return embed(corpus, out, **({"model": fake, "shard": SHARD} | options))

    return make


def contents(folder):
    """Return every file of a folder by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def stop_after(shards, number=signal.SIGINT):
    """Return a listener that sends a signal when so many shards of ten are done."""

    def listen(event):
        if event.phase == "embedding" and event.done == shards * SHARD:
            os.kill(os.getpid(), number)

    return listen
