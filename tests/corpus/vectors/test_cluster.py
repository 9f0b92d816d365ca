"""A cluster gives the vectors that one process gives; what it cannot do is one line."""

from concurrent.futures import Future

import pytest

from mean_prompt.corpus.vectors.shards import Shard, encode_halves
from mean_prompt.system import Cluster
from mean_prompt.system.errors import InputError, RunError
from mean_prompt.system.team import LostError, Team
from tests.corpus.conftest import PROMPTS, ROWS, contents
from tests.fakes import FakeEncoder

ray = pytest.importorskip("ray")

from mean_prompt.corpus.vectors import ray as ray_module  # noqa: E402


# Ray's context warns of its own fields when it is made.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_two_actors_give_the_bytes_that_one_process_gives(write, make, tmp_path):
    corpus = write([f"{row} {number}" for number in range(3) for row in ROWS])
    plain = make(corpus, tmp_path / "plain")
    events = []
    cluster = make(corpus, cluster=Cluster(workers=2), device="cpu", listener=events.append)
    assert not ray.is_initialized()
    assert cluster.complete
    assert cluster.made == plain.made > 8
    assert contents(cluster.out) == contents(plain.out)
    assert (events[-1].phase, events[-1].done) == ("embedding", cluster.manifest.prompts)


@pytest.mark.parametrize("address", ["a.csv", "", "ray://host:10001", "host:port"])
def test_what_is_no_address_is_refused(make, fake, address):
    with pytest.raises(InputError, match="with local, auto or HOST:PORT: found ") as caught:
        make(cluster=Cluster(address))
    assert repr(address) in str(caught.value)
    assert fake.encoded == 0


def test_another_device_takes_the_models_weights(tiny_bert, monkeypatch):
    there = ray_module.ShardEncoder(tiny_bert, "cpu").encode(PROMPTS)
    expected = encode_halves(tiny_bert, PROMPTS)
    assert (there.vectors == expected.vectors).all()
    monkeypatch.setattr(tiny_bert, "device", "cuda")  # as if it came from a GPU
    moved = ray_module.ShardEncoder(tiny_bert, "cpu")
    assert (moved.encode(PROMPTS).vectors == expected.vectors).all()
    assert moved._encoder.device == "cpu"
    assert moved._encoder is not tiny_bert


# Members that are lost, that wait for room, and that raise


class Scripted:
    """A placement in this process, whose members do with each call as a test says."""

    def __init__(self, *members):
        self.members = list(members)
        self.encoder = FakeEncoder()

    def give(self, *_):
        pass

    def member(self):
        return ScriptedMember(self, self.members.pop(0))

    def close(self):
        pass


class ScriptedMember:
    def __init__(self, placement, does):
        self.placement = placement
        self.does = does

    def call(self, _name, _method, prompts):
        future = Future()
        if self.does == "work":
            future.set_result(encode_halves(self.placement.encoder, prompts))
        elif self.does != "wait":
            future.set_exception(self.does)
        return future

    def is_ready(self):
        return self.does != "wait"

    def kill(self):
        pass


def embedded(*members, size):
    team = Team(Scripted(*members), size)
    team.give("encoder", None)
    shards = [Shard(number, (f"the {number}",), (1,)) for number in range(5)]
    return [shard.number for shard, _ in ray_module._embedded(team, shards)]


def test_a_lost_members_shard_is_embedded_by_another():
    assert sorted(embedded(LostError("died"), "work", "work", size=2)) == [0, 1, 2, 3, 4]


def test_a_member_that_waits_for_room_holds_up_nothing():
    assert sorted(embedded("wait", "work", size=2)) == [0, 1, 2, 3, 4]


def test_an_actors_fault_is_one_line():
    for kind in (InputError, RunError):
        with pytest.raises(kind, match=r"^the cluster must do its work: its own line$"):
            embedded(kind("its own line"), size=1)
