"""A cluster gives the vectors that one process gives; what it cannot do is one line."""

import os
import re
import socket
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch

from mean_prompt.corpus.vectors.cluster import ActorModel, ActorPlan, Cluster, plan_actors
from mean_prompt.corpus.vectors.manifest import ModelEntry
from mean_prompt.corpus.vectors.shards import encode_halves
from mean_prompt.system.errors import InputError, RunError
from tests.corpus.conftest import PROMPTS, ROWS, contents
from tests.fakes import FakeEncoder


# Ray's context warns of its own fields when it is made.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_two_actors_give_the_bytes_that_one_process_gives(write, make, fake, tmp_path, monkeypatch):
    """Ray's actors are real; loading a model in each would take most of the time."""
    ray = pytest.importorskip("ray")

    class FakeShardEncoder:
        def __init__(self, *_):
            self.fake = FakeEncoder()

        def encode(self, prompts):
            return encode_halves(self.fake, prompts)

    corpus = write([f"{row} {number}" for number in range(3) for row in ROWS])
    plain = make(corpus, tmp_path / "plain")
    monkeypatch.setattr("mean_prompt.corpus.vectors.ray.ShardEncoder", FakeShardEncoder)
    monkeypatch.setattr("mean_prompt.corpus.vectors.job.load_encoder", lambda *_, **__: fake)
    events = []
    cluster = make(corpus, model="fake", cluster=Cluster(workers=2), listener=events.append)
    assert not ray.is_initialized()
    assert cluster.complete
    assert cluster.made == plain.made > 8
    assert contents(cluster.out) == contents(plain.out)
    assert (events[-1].phase, events[-1].done) == ("embedding", cluster.manifest.prompts)


# Who does what


@pytest.mark.parametrize(
    ("nodes", "workers", "device", "plan"),
    [
        ([(2, 0)], None, "auto", ActorPlan(1, "cpu", 2, 0)),
        ([(16, 0)], 3, "cpu", ActorPlan(3, "cpu", 5, 0)),
        ([(4, 0), (16, 0)], None, "auto", ActorPlan(2, "cpu", 8, 0)),
        ([(4, 0), (0, 0), (4, 0)], None, "cpu", ActorPlan(2, "cpu", 4, 0)),
        ([(8, 2), (8, 1)], None, "auto", ActorPlan(3, "cuda", 1, 1)),
        ([(8, 2), (8, 1)], 2, "cuda", ActorPlan(2, "cuda", 1, 1)),
        ([(8, 0)], None, "mps", ActorPlan(1, "mps", 8, 0)),
    ],
)
def test_devices_are_shared_out(nodes, workers, device, plan):
    assert plan_actors(nodes, workers, device) == plan


@pytest.mark.parametrize(
    ("nodes", "workers", "device", "fault"),
    [
        ([(2, 0)], 3, "auto", "a CPU of its own: the cluster has 2, for 3 asked; give a smaller"),
        ([], None, "auto", "a CPU of its own: the cluster has 0, for 1 asked"),
        ([(8, 2)], 3, "auto", "a GPU of its own: the cluster has 2, for 3 asked"),
        ([(8, 0)], None, "cuda", "a GPU of its own: the cluster has 0, for 1 asked; .* --device"),
    ],
)
def test_more_actors_than_devices_are_refused(nodes, workers, device, fault):
    with pytest.raises(InputError, match=fault):
        plan_actors(nodes, workers, device)


# What is refused before anything is waited for


@pytest.mark.parametrize("address", ["a.csv", "", "ray://host:10001", "host:port"])
def test_what_is_no_address_is_refused(make, fake, address):
    with pytest.raises(InputError, match="with local, auto or HOST:PORT: found ") as caught:
        make(cluster=Cluster(address))
    assert repr(address) in str(caught.value)
    assert fake.encoded == 0


def test_addresses_are_known_and_no_usage_statistics_sent(monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    for address in ("local", "auto"):
        Cluster(address).check()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    with socket.create_server(("127.0.0.1", 0)) as door:
        Cluster(f"127.0.0.1:{door.getsockname()[1]}").check()


@pytest.mark.parametrize("address", ["127.0.0.1:9", "[::1]:9", "127.0.0.1:99999"])
def test_an_address_without_a_server_is_refused_at_once(address):
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
    class Broken:
        def find_spec(self, name, *_):
            if name == "ray":
                raise ModuleNotFoundError("no part", name="ray.part")

    monkeypatch.delitem(sys.modules, "ray", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match="no part"):
        Cluster().check()


# What an actor refuses


def test_a_machine_with_another_model_or_none_is_refused(fake, tiny_bert_folder, tiny_bert):
    pytest.importorskip("ray")
    from mean_prompt.corpus.vectors.ray import ShardEncoder

    def encoded(model, expected):
        entry, threads = ModelEntry(**asdict(expected.identity)), torch.get_num_threads()
        return ShardEncoder(ActorModel(str(model), "cpu", False), entry, threads).encode(PROMPTS)

    same, expected = encoded(tiny_bert_folder, tiny_bert), encode_halves(tiny_bert, PROMPTS)
    assert np.array_equal(same.vectors, expected.vectors)
    assert (same.rounding, same.cut) == (expected.rounding, expected.cut)
    with pytest.raises(InputError, match="must have the same model: one has fake as fake-0-6"):
        encoded(tiny_bert_folder, fake)
    with pytest.raises(InputError, match="--model must be a folder"):
        encoded("/gone/model", fake)


def test_an_actors_fault_is_one_line():
    exceptions = pytest.importorskip("ray.exceptions")
    from mean_prompt.corpus.vectors.ray import _failed

    fault = exceptions.RayTaskError("encode", "pages of trace", InputError("its own line"))
    found = _failed(fault)
    assert (type(found), str(found)) == (InputError, "the cluster must do its work: its own line")
    found = _failed(exceptions.RayError("Many words:\n  The node is gone.\n"))
    assert type(found) is RunError
    assert str(found).startswith("the cluster must do its work: The node is gone; finished shards")
