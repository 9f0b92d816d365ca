"""Embed shards on Ray actors; this process alone reads the corpus and writes the folder."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import ray
from ray.exceptions import RayError, RayTaskError

from mean_prompt.corpus.vectors.cluster import (
    LOCAL,
    ActorModel,
    ActorPlan,
    Cluster,
    plan_actors,
    unreachable,
)
from mean_prompt.corpus.vectors.manifest import ModelEntry
from mean_prompt.corpus.vectors.shards import Encoded, Shard, encode_halves
from mean_prompt.system import InputError, MeanPromptError, RunError

if TYPE_CHECKING:
    from mean_prompt.encoder import Encoder

#: Bytes of a local cluster's object store, for shards in transit: forty in 768 dimensions.
_STORE: Final = 2**29
#: Shards given to each actor: while it computes one, the next waits.
_AHEAD: Final = 2
#: Times that an actor is started again after its process or machine died.
_RESTARTS: Final = 3


def encode_on(
    cluster: Cluster, actor_model: ActorModel, model: ModelEntry, shards: Iterable[Shard]
) -> Generator[tuple[Shard, Encoded]]:
    """Embed shards on a Ray cluster; yield each with its embeddings, as they are completed."""
    with _connected(cluster.address):
        plan = plan_actors(_nodes(), cluster.workers, actor_model.device)
        yield from _embedded(plan, replace(actor_model, device=plan.device), model, shards)


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Connect to a Ray cluster for the block, unless this process is already connected."""
    if ray.is_initialized():
        yield
        return
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": _STORE}
    options = own if address == LOCAL else {}
    with _undisturbed():
        try:
            ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise unreachable(address, _last_line(error)) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Restore the SIGTERM handler, which Ray replaces, and silence standard error meanwhile.

    Ray's C++ part writes to standard error itself, before it can be configured not to.
    """
    before = signal.getsignal(signal.SIGTERM)
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _nodes() -> list[tuple[int, int]]:
    """Return the numbers of CPUs and GPUs of each live machine of the Ray cluster."""
    found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    alive = [node["Resources"] for node in found if node["Alive"]]
    return [(int(has.get("CPU", 0)), int(has.get("GPU", 0))) for has in alive]


def _embedded(
    plan: ActorPlan, actor_model: ActorModel, model: ModelEntry, shards: Iterable[Shard]
) -> Generator[tuple[Shard, Encoded]]:
    kind: Any = ray.remote(
        num_cpus=plan.cpus, num_gpus=plan.gpus, max_restarts=_RESTARTS, max_task_retries=_RESTARTS
    )(ShardEncoder)
    actors = [kind.remote(actor_model, model, plan.cpus) for _ in range(plan.actors)]
    free = actors * _AHEAD
    running: dict[Any, tuple[Any, Shard]] = {}

    def finished() -> tuple[Shard, Encoded]:
        [ready], _ = ray.wait(list(running), num_returns=1)
        actor, shard = running.pop(ready)
        free.append(actor)
        return shard, ray.get(ready)

    try:
        for shard in shards:
            if not free:
                yield finished()
            actor = free.pop(0)
            running[actor.encode.remote(shard.prompts)] = actor, shard
        while running:
            yield finished()
    except RayError as error:
        raise _failed(error) from error
    finally:
        for actor in actors:
            ray.kill(actor)


class ShardEncoder:
    """Ray actor that embeds shards; loads the model and checks its hash at the first one."""

    def __init__(self, asked: ActorModel, expected: ModelEntry, threads: int) -> None:
        self._asked = asked
        self._expected = expected
        self._threads = threads

    def encode(self, prompts: Sequence[str]) -> Encoded:
        """Return the float16 embeddings of a shard's prompts."""
        return encode_halves(self._encoder, prompts)

    @cached_property
    def _encoder(self) -> Encoder:
        import torch

        from mean_prompt.encoder import load_encoder

        asked, expected = self._asked, self._expected
        if asked.device == "cpu":
            torch.set_num_threads(self._threads)
        encoder = load_encoder(
            asked.model, device=asked.device, screening="float32", trust=asked.trust
        )
        found = encoder.identity.content_hash
        if found != expected.content_hash:
            raise InputError(
                f"every machine must have the same model: one has {expected.name} as "
                f"{expected.content_hash[:12]}, another as {found[:12]}; give --model a folder "
                "that is the same on all of them"
            )
        return encoder


def _failed(error: RayError) -> MeanPromptError:
    cause = error.cause if isinstance(error, RayTaskError) else None
    if isinstance(cause, MeanPromptError):
        return type(cause)(f"the cluster must do its work: {cause}")
    return RunError(
        f"the cluster must do its work: {_last_line(error)}; finished shards are kept, and the "
        "same command resumes"
    )


def _last_line(error: BaseException) -> str:
    lines = [line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
