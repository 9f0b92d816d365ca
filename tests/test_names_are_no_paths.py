"""Names that come with data - ids, sources, models, texts - never become parts of a path."""

import json
import shutil

import numpy as np
import pytest

from mean_prompt import predict, search
from mean_prompt.corpus.triples import Rows
from mean_prompt.encoder.cache import VectorCache
from mean_prompt.encoder.loading import load_encoder
from mean_prompt.hybrid import options as blend
from mean_prompt.hybrid.options import BlendOptions
from mean_prompt.hybrid.request import Request
from mean_prompt.llm.base import Prediction
from mean_prompt.llm.cache import CachedPredictor
from tests.hybrid.conftest import one_thread  # noqa: F401 a fixture
from tests.hybrid.prediction_run import HIDDEN, KNOWN, write_rows
from tests.hybrid.synthetic import UNIVERSAL, encoder

#: What a name may hold that would lead out of a folder, or to another file in it.
EVIL = [
    "../../evil",
    "/evil",
    "..",
    ".",
    "evil/evil",
    "..\\evil",
    "C:\\evil",
    "job.json",
    "~",
    "a\0b",
]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Work some folders below the temporary one, so that a way out of them is still in it."""
    place = tmp_path / "a" / "b" / "work"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(tmp_path / "cache"))
    return place


def files(folder):
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def renamed(path):
    """Give the rows of a file evil ids."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for number, row in enumerate(rows):
        row["id"] = f"{EVIL[number % len(EVIL)]}{number // len(EVIL) or ''}"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.mark.usefixtures("one_thread")
def test_ids_of_rows(place, tmp_path, monkeypatch):
    monkeypatch.setattr(blend, "load_encoder", lambda _name, **_options: encoder())
    test = renamed(write_rows(place / "test.jsonl", HIDDEN[:30]))
    triples = renamed(write_rows(place / "known.jsonl", KNOWN, prompts=True))
    request = Request(
        test=test,
        triples=triples,
        prompt=UNIVERSAL,
        out=place / "out.csv",
        options=BlendOptions(max_tokens=8, trials=1),
    )
    assert predict(request).rows == 30
    assert files(tmp_path / "a") == [
        f"b/work/{name}"
        for name in (
            "known.jsonl",
            "out.csv",
            "out.html",
            "out.parquet",
            "out.work/answers.jsonl",
            "out.work/fit.json",
            "out.work/job.json",
            "test.jsonl",
        )
    ]


def test_names_of_sources(place, tmp_path, tiny_bert):
    prompts = ["Rewrite this as a poem", "Make it formal", "Turn it into a sea shanty, please"]
    (place / "good.txt").write_text("\n".join(prompts))
    (place / "bad.txt").write_text("\n".join(prompts[::-1]))
    sources = ("..=good.txt:2", "run=bad.txt:1")  # a slash would make it no name
    found = search(sources, max_evaluations=60, max_tokens=8, model=tiny_bert, out="run")
    assert found.string
    outside = [name for name in files(tmp_path / "a") if not name.startswith("b/work/run/")]
    assert outside == ["b/work/bad.txt", "b/work/good.txt"]
    assert all("evil" not in name for name in files(tmp_path))


def test_the_name_of_a_model(place, tmp_path, tiny_bert_folder):
    """A folder can be called nearly anything, and caches are named after what is in it."""
    folder = shutil.copytree(tiny_bert_folder, place / "..evil.sqlite; rm x")
    loaded = load_encoder(str(folder), device="cpu", screening="float32")
    VectorCache(loaded.identity.key).encode(["a"], loaded.encode)
    [made] = [name for name in files(tmp_path / "cache") if name.endswith(".sqlite")]
    assert made == f"vectors/{loaded.identity.content_hash[:24]}-float32.sqlite"


def test_texts_and_identities_in_caches(tmp_path):
    class Echo:
        identity = "../../evil"

        def predict(self, rows, examples=None, *, deadline=None):  # noqa: ARG002
            yield from (Prediction(row, (text,)) for row, text in enumerate(rows.originals))

        def notes(self):
            return []

    assert len(list(CachedPredictor(Echo()).predict(Rows(EVIL, EVIL, EVIL)))) == len(EVIL)
    VectorCache("key").encode(EVIL, lambda texts: np.ones((len(texts), 4), np.float32))
    made = {name.rpartition("/")[0] for name in files(tmp_path)}
    assert made == {"cache/predictions", "cache/vectors"}
    assert all("evil" not in name for name in files(tmp_path))
