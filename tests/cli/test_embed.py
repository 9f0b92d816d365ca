"""The command ``embed``: options, what it prints, and faults in one line."""

import json

import pytest
import typer

from mean_prompt.cli.app import app
from mean_prompt.corpus.vectors import job
from mean_prompt.corpus.vectors.folder import VectorFolder
from mean_prompt.system.errors import RunError
from tests.corpus.conftest import PROMPTS, ROWS, stop_after
from tests.fakes import FakeEncoder


@pytest.fixture
def run(tmp_path, monkeypatch, program):
    """Return a function that runs the program with the fake encoder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job, "load_encoder", lambda *_args, **_options: FakeEncoder())
    return program


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"prompt": row}) + "\n" for row in ROWS))
    return path


def test_a_corpus_is_embedded_and_it_says_what_there_is(run, corpus, tmp_path):
    code, out, err = run("embed", corpus, "--out", "vectors", "--shard", 10)
    assert code == 0
    assert out.splitlines()[0] == (
        "corpus: 38 prompts of 41 rows (2 empty and 1 duplicates dropped, 1 stripped)"
    )
    last = out.splitlines()[-1]
    assert last.startswith("4 shards, 4 of them made in ")
    assert "38 vectors of 6 numbers in half precision, off by 0.000" in last
    assert last.endswith("saved vectors")
    assert "s reading the corpus: 10 prompts\n" in err
    assert "embedding the corpus: 0 of 38 prompts" in err
    assert VectorFolder.open(tmp_path / "vectors").manifest.unfinished == []


def test_a_run_that_was_stopped_says_how_to_go_on(run, corpus, monkeypatch):
    embed = job.embed
    with monkeypatch.context() as patch:
        patch.setattr(
            "mean_prompt.corpus.embed",
            lambda *given, **more: embed(*given, **more | {"listener": stop_after(2)}),
        )
        code, out, _ = run("embed", corpus, "--out", "vectors", "--shard", 10)
    assert code == 0
    assert "stopped after 2 of 4 shards (2 made in " in out
    assert out.endswith("the same command resumes\n")
    code, out, _ = run("embed", corpus, "--out", "vectors", "--shard", 10)
    assert code == 0
    assert "4 shards, 2 of them made in " in out
    _, out, _ = run("embed", corpus, "--out", "vectors", "--shard", 10)
    assert "4 shards, none left to make: " in out


def test_damage_and_cut_prompts_are_told(run, tmp_path):
    (tmp_path / "a.txt").write_text("\n".join([*PROMPTS[:3], "the " * 20]))
    _, out, _ = run("embed", "a.txt", "--out", "vectors")
    assert "1 prompts are longer than the model reads, and were truncated by it" in out
    (tmp_path / "vectors" / "prompts-00000.parquet").unlink()
    _, out, _ = run("embed", "a.txt", "--out", "vectors")
    assert "1 shards were missing or damaged, and are embedded again" in out


def test_every_option_reaches_the_work(run, monkeypatch):
    asked = {}

    def embed(corpus, out, **options):
        asked.update(options, corpus=corpus, out=str(out))
        raise RunError("enough was seen")

    monkeypatch.setattr("mean_prompt.corpus.embed", embed)
    line = (
        "embed a.csv b=b.csv --out v --model m --trust-model --device cpu --column c --shard 7 "
        "--ray head:6379 --workers 3"
    )
    assert run(*line.split())[0] == 1
    cluster = asked.pop("cluster")
    assert (cluster.address, cluster.workers) == ("head:6379", 3)
    asked.pop("listener")
    assert asked == {
        "corpus": ["a.csv", "b=b.csv"],
        "out": "v",
        "model": "m",
        "trust": True,
        "device": "cpu",
        "column": "c",
        "shard": 7,
    }


@pytest.mark.parametrize(
    ("line", "address", "corpus"),
    [
        ("a.csv --out v --ray", "local", ["a.csv"]),
        ("a.csv --ray --out v", "local", ["a.csv"]),
        ("a.csv --ray auto --out v", "auto", ["a.csv"]),
        ("--ray=head:1 --out v a.csv", "head:1", ["a.csv"]),
        ("--out v a.csv", None, ["a.csv"]),
        ("--ray a.csv --out v", "a.csv", None),
    ],
)
def test_the_address_of_ray_may_be_left_out(line, address, corpus):
    command = typer.main.get_command(app).commands["embed"]
    parameters = command.make_context("embed", line.split()).params
    assert parameters["ray"] == address
    assert (parameters["corpus"] or None) == corpus


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("gone.csv --out v", "must exist: found no file or folder gone.csv"),
        ("corpus.jsonl:2 --out v", "weighted when it is searched: found corpus.jsonl:2"),
        ("corpus.jsonl --out corpus.jsonl", "--out must be outside of the corpus"),
        ("corpus.jsonl --out v --workers 2", "--workers is for a cluster: give --ray"),
        ("--out v --ray corpus.jsonl", "--ray must be alone, or with local, auto or HOST:PORT"),
        ("corpus.jsonl --out v --column x", "--column must be in the file"),
    ],
)
def test_faults_are_one_line_and_leave_nothing(run, corpus, tmp_path, line, fault):
    code, out, err = run("embed", *line.split())
    assert code == 2
    assert out == ""
    [message] = [line for line in err.splitlines() if "s reading " not in line]
    assert message.startswith("mean-prompt: ")
    assert fault in message
    assert not (tmp_path / "v").exists()
    assert corpus.exists()


def test_other_work_in_the_folder_is_one_line(run, corpus):
    run("embed", corpus, "--out", "v")
    code, _, err = run("embed", corpus, "--out", "v", "--shard", 10)
    assert code == 2
    assert err.splitlines()[-1] == (
        "mean-prompt: --out must be a folder of the same work: v is not: its shards are of 8,192 "
        "prompts, and 10 are asked; choose another, or delete it"
    )
