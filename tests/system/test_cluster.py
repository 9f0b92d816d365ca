"""A cluster's address is checked before any work, and its devices are shared out."""

import os
import re
import socket
import sys

import pytest

from mean_prompt.system.cluster import ActorPlan, Cluster, plan_actors
from mean_prompt.system.errors import InputError

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


@pytest.mark.parametrize(
    ("nodes", "workers", "plan"),
    [
        ([(4, 0), (3, 1)], None, ActorPlan(7, "cpu", 1, 0)),
        ([(4, 0), (3, 1)], 2, ActorPlan(2, "cpu", 1, 0)),
    ],
)
def test_actors_of_one_cpu_are_as_many_as_there_are_cpus(nodes, workers, plan):
    assert plan_actors(nodes, workers, "cpu", 1) == plan
    with pytest.raises(InputError, match="the cluster has 7, for 8 asked"):
        plan_actors(nodes, 8, "cpu", 1)


# What is refused before anything is waited for


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
