"""A cluster gives the vectors that one process gives; what it cannot do is one line."""

import pytest

from mean_prompt.corpus.vectors.shards import encode_halves
from mean_prompt.system import Cluster
from mean_prompt.system.errors import InputError
from tests.corpus.conftest import PROMPTS, ROWS, contents

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
