import json

import numpy as np
import pytest

from benchmarks import embed as module
from benchmarks.embed import EmbedBench, _Process
from mean_prompt.corpus.vectors.job import embed
from tests.fakes import FakeEncoder


def test_a_process_is_timed_and_its_memory_taken():
    seconds, peak, ended = _Process(["--version"]).wait()
    assert ended == "done"
    assert 0 < seconds < 120
    # Not the memory of this process, which has loaded everything.
    assert peak is None or 5 < peak < 200


def test_a_process_is_killed_when_it_is_time():
    looks = iter([False, False, True])
    process = _Process(["bench", "scale", "--json"])
    process.kill_when(lambda: next(looks))
    assert process.wait()[2] == "SIGKILL"


def test_a_step_that_fails_ends_the_benchmark():
    with pytest.raises(module.RunError, match=r"a step must succeed: --gone ended with 2"):
        _Process(["--gone"]).wait()


def test_ways_of_embedding_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "save_tiny_bert", lambda path: path.mkdir())
    bench = EmbedBench(tmp_path, 60, 2)
    corpus = tmp_path / "prompts-60.jsonl"
    assert len(corpus.read_text().splitlines()) == 60
    embed(corpus, bench._whole, model=FakeEncoder(), shard=20)

    class Nearly(FakeEncoder):
        def encode_ids(self, ids):
            vectors = super().encode_ids(ids)
            vectors[0] = np.roll(vectors[0], 1)
            return vectors

    embed(corpus, bench._cluster, model=Nearly(), shard=20)
    found = bench.compare()
    assert found["numbers"] == 60 * 6
    assert found["share equal"] == pytest.approx(1 - 3 / 60, abs=1e-9)
    assert found["largest difference"] > 0.01
    assert json.loads(json.dumps(found)) == found
