"""Embed shards on a Ray cluster; this process alone reads the corpus and writes the folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from mean_prompt.corpus.vectors.shards import Encoded, Shard, encode_halves
from mean_prompt.system import Cluster, MeanPromptError, RayPlacement, Team

if TYPE_CHECKING:
    from mean_prompt.encoder import Encoder

#: Name under which the members of the team hold the encoder.
_ENCODER: Final = "encoder"
#: Seconds to wait for a shard's embeddings before looking for lost members.
_PATIENCE: Final = 5.0


def encode_on(
    cluster: Cluster, encoder: Encoder, shards: Iterable[Shard], device: str = "auto"
) -> Generator[tuple[Shard, Encoded]]:
    """Embed shards on a Ray cluster; yield each with its embeddings, as they are completed.

    The encoder is sent to the cluster's workers, which move it to their ``device``; ``auto`` is
    their GPUs, if the cluster has any.
    """
    placement = RayPlacement(cluster, device)
    team = Team(placement, placement.plan.actors)
    try:
        team.give(_ENCODER, ShardEncoder(encoder, placement.plan.device))
        yield from _embedded(team, shards)
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


def _embedded(team: Team, shards: Iterable[Shard]) -> Generator[tuple[Shard, Encoded]]:
    new = iter(shards)
    left: dict[int, Shard] = {}  # those without embeddings yet, by number
    held: dict[int, Shard] = {}  # what each member embeds
    done: list[tuple[Shard, Encoded]] = []
    while True:
        for member in team.idle():
            if shard := next(new, None) or _second(left, held):
                left[shard.number] = held[member] = shard
                team.call(member, _ENCODER, "encode", shard.prompts)
        yield from done  # members compute while the caller writes
        if not left:
            return
        done = []
        for member, encoded in _answers(team):
            shard = held.pop(member)
            if encoded is not None and left.pop(shard.number, None) is not None:
                done.append((shard, encoded))


def _answers(team: Team) -> Iterator[tuple[int, Encoded | None]]:
    """Yield members that ended their call, with the answer; ``None`` for one that was replaced."""
    try:
        for reply in team.replies(_PATIENCE):
            if reply.lost:
                team.replace(reply.member)
            yield reply.member, reply.value
    except MeanPromptError as error:
        raise type(error)(f"the cluster must do its work: {error}") from error


def _second(left: Mapping[int, Shard], held: Mapping[int, Shard]) -> Shard | None:
    """Return a shard that was lost, or that only one member embeds, for one that is idle.

    At the end a member that the cluster has no room for, or that is slow, would hold up the rest.
    """
    members = Counter(shard.number for shard in held.values())
    few = [shard for shard in left.values() if members[shard.number] < 2]
    return min(few, key=lambda shard: members[shard.number], default=None)
