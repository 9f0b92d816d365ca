"""A cluster gives the vectors that one process gives; what it cannot do is told in one line."""

import os
import re
import socket
import sys
import types
import warnings
from dataclasses import asdict

import numpy as np
import pytest
import torch

from mean_prompt.corpus.sources import parse_source
from mean_prompt.corpus.vectors.cluster import ActorModel, ActorPlan, Cluster, Node, form_team
from mean_prompt.corpus.vectors.encoding import encode_halves
from mean_prompt.corpus.vectors.folder import VectorFolder
from mean_prompt.corpus.vectors.job import embed
from mean_prompt.corpus.vectors.manifest import ModelEntry
from mean_prompt.corpus.vectors.stream import Work
from mean_prompt.system.errors import InputError, RunError
from tests.corpus.vectors.conftest import ROWS, contents


@pytest.fixture
def one_thread():
    """As many threads as each of two actors has on two cores: sums then have one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# Ray's context warns of its own fields when it is made.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.usefixtures("one_thread")
def test_two_actors_give_the_bytes_that_one_process_gives(write, tmp_path, tiny_bert_folder):
    corpus = write([f"{row} {number}" for number in range(3) for row in ROWS])
    options = {"model": str(tiny_bert_folder), "shard": 12}
    plain = embed(corpus, tmp_path / "plain", **options)
    ray = pytest.importorskip("ray")
    heard = []
    cluster = embed(
        corpus,
        tmp_path / "cluster",
        **options,
        cluster=Cluster(workers=2),
        listener=lambda what, done, _total: heard.append((what, done)),
    )
    assert not ray.is_initialized()
    assert cluster.complete
    assert cluster.made == plain.made > 8
    assert contents(cluster.out) == contents(plain.out)
    assert heard[-1] == ("embedding", cluster.manifest.prompts)
    (cluster.out / "vectors-00001.safetensors").unlink()
    with pytest.raises(InputError, match="must be what its manifest says"):
        VectorFolder.open(cluster.out).vectors(1)


# Who does what


@pytest.mark.parametrize(
    ("machines", "workers", "device", "team"),
    [
        ([(2, 0)], None, "auto", ActorPlan(1, "cpu", 2, 0)),
        ([(2, 0)], 2, "auto", ActorPlan(2, "cpu", 1, 0)),
        ([(16, 0)], 3, "cpu", ActorPlan(3, "cpu", 5, 0)),
        ([(4, 0), (16, 0)], None, "auto", ActorPlan(2, "cpu", 8, 0)),
        ([(4, 0), (16, 0)], 5, "auto", ActorPlan(5, "cpu", 4, 0)),
        ([(4, 0), (0, 0), (4, 0)], None, "cpu", ActorPlan(2, "cpu", 4, 0)),
        ([(8, 2), (8, 1)], None, "auto", ActorPlan(3, "cuda", 1, 1)),
        ([(8, 2), (8, 1)], 2, "cuda", ActorPlan(2, "cuda", 1, 1)),
        ([(8, 2), (8, 1)], None, "cpu", ActorPlan(2, "cpu", 8, 0)),
        ([(8, 0)], None, "mps", ActorPlan(1, "mps", 8, 0)),
    ],
)
def test_devices_are_shared_out(machines, workers, device, team):
    assert form_team([Node(*has) for has in machines], workers, device) == team


@pytest.mark.parametrize(
    ("machines", "workers", "device", "fault"),
    [
        ([(2, 0)], 3, "auto", "a CPU of its own: the cluster has 2, for 3 asked; give a smaller"),
        ([], None, "auto", "a CPU of its own: the cluster has 0, for 1 asked"),
        ([(8, 2)], 3, "auto", "a GPU of its own: the cluster has 2, for 3 asked"),
        ([(8, 0)], None, "cuda", "a GPU of its own: the cluster has 0, for 1 asked; .* --device"),
    ],
)
def test_more_actors_than_devices_are_refused(machines, workers, device, fault):
    with pytest.raises(InputError, match=fault):
        form_team([Node(*has) for has in machines], workers, device)


# What is refused before anything is waited for


@pytest.mark.parametrize("address", ["a.csv", "", "ray://host:10001", "host", "host:port", "1:2:3"])
def test_what_is_no_address_is_refused(make, fake, address):
    with pytest.raises(InputError, match="with local, auto or HOST:PORT: found ") as caught:
        make(cluster=Cluster(address))
    assert repr(address) in str(caught.value)
    assert fake.encoded == 0


def test_addresses_are_known():
    for address in ("local", "auto"):
        Cluster(address).check()
    with socket.create_server(("127.0.0.1", 0)) as door:
        Cluster(f"127.0.0.1:{door.getsockname()[1]}").check()


@pytest.mark.parametrize("address", ["127.0.0.1:9", "[::1]:9", "127.0.0.1:99999"])
def test_an_address_where_nobody_answers_is_refused_at_once(address):
    message = rf"a cluster that runs: {re.escape(address)}: .*; start one with: ray start --head"
    with pytest.raises(InputError, match=message):
        Cluster(address).check()


def test_a_model_in_memory_is_refused(make):
    with pytest.raises(InputError, match="load their own model: give its name or folder"):
        make(cluster=Cluster())


def test_a_missing_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"not installed; run: pip install 'mean-prompt\[ray\]'$"):
        Cluster().check()


def test_another_broken_import_is_not_hidden(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ModuleNotFoundError, match=r"ray\.data"):
        Cluster().check()


def test_ray_tells_nobody_of_its_use(monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    Cluster().check()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


# What goes wrong there comes back as a row


@pytest.fixture
def shards():
    pytest.importorskip("ray")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from mean_prompt.corpus.vectors import ray as ray_shards
    return ray_shards


def of(identity):
    return ModelEntry(**asdict(identity))


def test_a_row_goes_out_and_comes_back(shards, corpus_file, tiny_bert_folder, tiny_bert):
    work = Work((parse_source(str(corpus_file)),), None, 10, frozenset({1, 3}))
    actor = shards._Actor(ActorModel(str(tiny_bert_folder), "cpu", False), torch.get_num_threads())
    expected = [(shard, encode_halves(tiny_bert, shard.prompts)) for shard in work.shards()]
    for table, (shard, encoded) in zip(shards._tables(work), expected, strict=True):
        [row] = actor(table).to_pylist()
        found, vectors = shards._unpacked(row, of(tiny_bert.identity))
        assert found == shard
        assert np.array_equal(vectors.vectors, encoded.vectors)
        assert (vectors.rounding, vectors.cut) == (encoded.rounding, encoded.cut)


def fault(shards, table, identity):
    [row] = table.to_pylist()
    with pytest.raises(RunError) as caught:
        shards._unpacked(row, of(identity))
    return str(caught.value)


def test_a_machine_without_the_model_is_told(shards, corpus_file, fake):
    work = Work((parse_source(str(corpus_file)),), None, 10, frozenset({0}))
    actor = shards._Actor(ActorModel("/gone/model", "cpu", False), torch.get_num_threads())
    [table] = [actor(table) for table in shards._tables(work)]
    assert "the cluster must do its work: --model must be a folder" in fault(
        shards, table, fake.identity
    )


def test_a_corpus_that_broke_meanwhile_is_told(shards, corpus_file, fake, tiny_bert_folder):
    corpus_file.write_text(corpus_file.read_text() + "no JSON\n")
    work = Work((parse_source(str(corpus_file)),), None, 10, frozenset({0, 9}))
    [table] = shards._tables(work)
    actor = shards._Actor(ActorModel(str(tiny_bert_folder), "cpu", False), torch.get_num_threads())
    assert "corpus.jsonl: line 42: Expecting value" in fault(shards, actor(table), fake.identity)


def test_vectors_of_no_use_are_told(shards, corpus_file, fake, tiny_bert_folder, monkeypatch):
    work = Work((parse_source(str(corpus_file)),), None, 10, frozenset({0}))
    actor = shards._Actor(ActorModel(str(tiny_bert_folder), "cpu", False), torch.get_num_threads())
    monkeypatch.setattr(actor._encoder, "encode_ids", lambda ids: np.zeros((len(ids), 32), "f4"))
    [table] = [actor(table) for table in shards._tables(work)]
    assert "vectors must be finite and of unit length: tiny-bert gave" in fault(
        shards, table, fake.identity
    )


def test_a_machine_with_another_model_is_refused(shards, corpus_file, fake, tiny_bert_folder):
    work = Work((parse_source(str(corpus_file)),), None, 10, frozenset({0}))
    actor = shards._Actor(ActorModel(str(tiny_bert_folder), "cpu", False), torch.get_num_threads())
    [row] = [actor(table).to_pylist()[0] for table in shards._tables(work)]
    with pytest.raises(InputError, match="must have the same model: this one has fake as fake-0-6"):
        shards._unpacked(row, of(fake.identity))
