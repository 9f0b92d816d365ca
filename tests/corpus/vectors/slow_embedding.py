"""A process for tests to kill: embeds a file with the fake encoder, a few prompts a second."""

import sys
import time

from mean_prompt.corpus.vectors.job import embed
from tests.fakes import FakeEncoder


class SlowEncoder(FakeEncoder):
    """Takes a while for each shard."""

    def encode_ids(self, ids):
        time.sleep(0.3)
        return super().encode_ids(ids)


if __name__ == "__main__":
    corpus, out, size = sys.argv[1:]
    embed(corpus, out, model=SlowEncoder(), shard=int(size))
