"""Members on a Ray cluster: they compute, die, wait for room, and a search outlives a machine."""

import os
import signal
import threading

import numpy as np
import pytest

from benchmarks.grammar import generate
from mean_prompt import Corpus, search
from mean_prompt.system.cluster import Cluster
from mean_prompt.system.errors import InputError, RunError
from mean_prompt.system.team import Team
from tests.system.test_processes import (
    Broken,
    Worker,
    answers,
    first_is_lost_and_replaced,
    wait_until,
)

ray = pytest.importorskip("ray")

from mean_prompt.system import ray_placement as module  # noqa: E402
from mean_prompt.system.ray_placement import RayPlacement  # noqa: E402

# Ray's context warns of its own fields when it is made, and leaves sockets and files open.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def machines():
    """A cluster of two machines with a CPU each, both of them on this one."""
    from ray.cluster_utils import Cluster as Machines

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        args = {"num_cpus": 1, "include_dashboard": False}
        found = Machines(initialize_head=True, head_node_args=args)
        found.second = found.add_node(num_cpus=1)
        yield found
        found.shutdown()


@pytest.fixture
def notes():
    return []


@pytest.fixture
def team(machines, notes):
    placement = RayPlacement(Cluster(machines.address), cpus=1, notify=notes.append)
    team = Team(placement, placement.plan.actors)
    yield team
    team.close()
    assert not ray.is_initialized()


def pids(team):
    return [team.ask(number, "worker", "add", 0, number)[2] for number in range(team.size)]


def test_actors_compute_and_what_they_raise_is_raised_here(team):
    team.give("worker", Worker())
    for number in (0, 1):
        team.call(number, "worker", "add", number, 10)
    first, second = answers(team, 2)
    assert [first.value[:2], second.value[:2]] == [(10, 1), (11, 1)]
    assert len({first.value[2], second.value[2], os.getpid()}) == 3
    team.call(0, "worker", "refuse")
    with pytest.raises(InputError, match="a worker must not do this") as caught:
        answers(team, 1)
    assert type(caught.value) is InputError
    assert team.ask(0, "worker", "add", 2, 3)[:2] == (5, 2)
    rows = team.ask(0, "worker", "add", np.zeros(10**5), 1.0)[0]
    assert rows.flags.writeable


def test_an_object_given_later_reaches_the_same_processes_which_begin_anew(team):
    worker = Worker(b"x" * 100)
    team.give("worker", worker)
    before = pids(team)
    team.give("both", [worker, worker])
    assert set(pids(team)) == set(before)
    assert team.ask(0, "worker", "add", 0, 0)[1] == 2
    assert team.ask(1, "both", "__len__") == 2


def test_a_killed_actor_is_lost_and_replaced(team):
    team.give("worker", Worker())
    victim, other = pids(team)
    team.call(0, "worker", "sleep", 60.0)
    os.kill(victim, signal.SIGKILL)
    first_is_lost_and_replaced(team, victim, other, timeout=20.0)


def test_an_actor_without_room_is_never_late_and_a_note_says_so(team, notes, monkeypatch):
    monkeypatch.setattr(module, "_WAITING", 0.2)
    monkeypatch.setattr("mean_prompt.system.team.PATIENCE", 0.1)
    team.give("worker", Worker())
    pids(team)
    third = team._placement.member()
    assert not third.is_ready()
    waiting = third.call("worker", "add", 1, 1)
    wait_until(lambda: third.is_ready() or notes)
    assert not third.is_ready()
    [note] = notes
    assert note.startswith("the cluster has had no room for a worker for 0 s: the others go on")
    assert not waiting.done()
    third.kill()
    assert team.ask(0, "worker", "add", 1, 1)[0] == 2


def test_an_object_that_cannot_be_unpacked_is_one_line(team):
    team.give("broken", Broken())
    with pytest.raises(RunError, match=r"same packages as this one: .* it is sent: ModuleNotFound"):
        team.ask(0, "broken", "anything")


def test_a_search_goes_on_without_a_machine_that_is_gone(machines, tiny_t5, tmp_path, monkeypatch):
    """It is the last test of this module, which leaves one machine."""
    for name in ("write_analysis", "write_report"):
        monkeypatch.setattr(f"mean_prompt.api.{name}", lambda *_: None)
    monkeypatch.setattr("mean_prompt.api.CorpusSpace.of_problem", lambda *_: None)
    corpus = Corpus.from_prompts([row["prompt"] for row in generate(60, seed=5)])
    notes, removed, stopped = [], [], []

    def listen(progress):
        notes.extend(progress.notes)
        if not stopped and any("another one continues its climb" in note for note in notes):
            stopped.append(progress.done)
        elif len(stopped) == 1 and progress.done > stopped[0] + 1_000:
            stopped.append(progress.done)
            os.kill(os.getpid(), signal.SIGINT)
        if progress.phase == "searching" and progress.done > 100 and not removed:
            lost = machines.second, False  # at once, not gracefully
            removed.append(threading.Thread(target=machines.remove_node, args=lost))
            removed[0].start()

    found = search(
        corpus,
        model=tiny_t5,
        ray=machines.address,
        budget="90s",
        max_tokens=8,
        out=tmp_path / "run",
        listener=listen,
    )
    removed[0].join()
    assert found.string == (tmp_path / "run" / "best.txt").read_text("utf-8")
    assert found.score > 0
    assert found.stopped
    assert found.evaluations > stopped[0] + 1_000
    assert not ray.is_initialized()
