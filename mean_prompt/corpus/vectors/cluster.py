"""Embedding on a Ray cluster: its address is checked, and Ray imported, only if one is used."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mean_prompt.corpus.vectors.actors import LOCAL, ActorModel, plan_actors, unreachable
from mean_prompt.system import InputError

if TYPE_CHECKING:
    from collections.abc import Generator

    from mean_prompt.corpus.vectors.manifest import ModelEntry
    from mean_prompt.corpus.vectors.shards import Encoded, Shard, Work

#: Seconds to wait for an answer from a cluster's address.
_PATIENCE: Final = 5.0
_ADDRESS: Final = re.compile(r"local|auto|[\w.-]+:\d{1,5}|\[[\da-fA-F:]+\]:\d{1,5}")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster.

    Attributes:
        address: ``local``, or that of a running cluster which this machine is part of: ``auto``,
            or ``HOST:PORT``.
        workers: number of actors; by default one per GPU, or one per machine without GPUs.
    """

    address: str = LOCAL
    workers: int | None = None

    def check(self) -> None:
        """Check the address and that Ray is installed, before anything slow begins.

        Raises:
            InputError: the address is malformed, no process listens there, or Ray is missing.
        """
        if not _ADDRESS.fullmatch(self.address):
            raise InputError(
                f"--ray must be alone, or with local, auto or HOST:PORT: found {self.address!r}; "
                "put it last, or write --ray=local"
            )
        host, colon, port = self.address.rpartition(":")
        if colon:
            # Ray itself would wait for minutes.
            try:
                socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
            except (OSError, OverflowError) as error:
                raise unreachable(self.address, str(error)) from error
        # Ray would send usage statistics to its makers, and logs of its own to the terminal.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        try:
            import ray  # noqa: F401
        except ModuleNotFoundError as error:
            if error.name != "ray":
                raise
            raise InputError(
                "--ray needs Ray, which is not installed; run: pip install 'mean-prompt[ray]'"
            ) from error

    def encode(
        self, actor_model: ActorModel, model: ModelEntry, work: Work
    ) -> Generator[tuple[Shard, Encoded]]:
        """Yield shards as they are embedded, in any order.

        Args:
            actor_model: the model as an actor loads it.
            model: the model that it must be.
            work: the shards, read on this machine.

        Raises:
            InputError: the cluster cannot be reached, or lacks the devices.
            RunError: the work failed there.
        """
        from mean_prompt.corpus.vectors.ray import connect, embed_shards, nodes

        with connect(self.address):
            plan = plan_actors(nodes(), self.workers, actor_model.device)
            yield from embed_shards(plan, actor_model, model, work)
