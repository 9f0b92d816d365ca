"""Embed shards on a Ray cluster; this process alone reads the corpus and writes the folder."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from mean_prompt.corpus.vectors.shards import Encoded, Shard, encode_halves
from mean_prompt.system import Cluster, RayPlacement, Team

if TYPE_CHECKING:
    from mean_prompt.encoder import Encoder

#: Name under which the members of the team hold the encoder.
_ENCODER: Final = "encoder"


def encode_on(
    cluster: Cluster, encoder: Encoder, shards: Iterable[Shard], device: str = "auto"
) -> Generator[tuple[Shard, Encoded]]:
    """Embed shards on a Ray cluster; yield each with its embeddings, as they are completed.

    The encoder is sent to the cluster's workers, which move it to their ``device``; ``auto`` is
    their GPUs, if the cluster has any.
    """
    placement = RayPlacement(cluster, device)
    team = Team(placement, placement.plan.actors)
    sent: dict[int, Shard] = {}

    def prompts() -> Iterator[tuple[str, ...]]:
        for number, shard in enumerate(shards):
            sent[number] = shard
            yield shard.prompts

    try:
        team.give(_ENCODER, ShardEncoder(encoder, placement.plan.device))
        for number, encoded in team.stream(_ENCODER, "encode", prompts(), twice=True):
            yield sent.pop(number), encoded
    finally:
        team.close()


class ShardEncoder:
    """Embeds shards on a device, wherever it was unpickled."""

    def __init__(self, encoder: Encoder, device: str) -> None:
        self._encoder = encoder
        self._device = device

    def encode(self, prompts: tuple[str, ...]) -> Encoded:
        """Return the float16 embeddings of a shard's prompts."""
        if self._encoder.device != self._device:
            from mean_prompt.encoder import Encoder

            model = self._encoder.library_model.to(self._device)
            self._encoder = Encoder(model, self._encoder.identity, screening="float32")
        return encode_halves(self._encoder, prompts)
