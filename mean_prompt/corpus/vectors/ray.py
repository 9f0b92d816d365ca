"""Shards through Ray Data: read where the command was given, embedded by actors, handed back.

A row of the dataset is a shard, and a block of it a row, so that no shard waits for others. This
machine alone reads the corpus and writes the folder: the others need neither.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import ray
import ray.data
from ray.data import (
    ActorPoolStrategy,
    DataContext,
    Datasource,
    ExecutionOptions,
    ExecutionResources,
    ReadTask,
)
from ray.data.block import BlockMetadata
from ray.exceptions import RayError

from mean_prompt.corpus.vectors.cluster import LOCAL, ActorModel, ActorPlan, Node
from mean_prompt.corpus.vectors.encoding import Encoded, encode_halves
from mean_prompt.corpus.vectors.manifest import ModelEntry
from mean_prompt.corpus.vectors.stream import Shard, Work
from mean_prompt.system import InputError, MeanPromptError, RunError, user_path

#: Memory for shards on their way: about forty of them in 768 dimensions. So many actors share it.
_STORE: Final = 2**29
_SHARE: Final = 4


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Join a cluster for a while, or the one that this process is part of already.

    Raises:
        InputError: it cannot be reached.
    """
    if ray.is_initialized():
        yield
        return
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": _STORE}
    options = own if address == LOCAL else {}
    with _undisturbed():
        try:
            ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(
                f"--ray must be the address of a cluster that runs: {address}: {_line(error)}; "
                "start one with: ray start --head"
            ) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep our handler of SIGTERM, which Ray puts its own in the place of, and a quiet terminal.

    Ray's C++ part writes there itself, before it can be told not to.
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


def machines() -> list[Node]:
    """Return the machines of the cluster."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    return [Node(int(has.get("CPU", 0)), int(has.get("GPU", 0))) for has in alive]


def embedded(
    team: ActorPlan, recruit: ActorModel, model: ModelEntry, work: Work
) -> Generator[tuple[Shard, Encoded]]:
    """Yield shards with their vectors, as actors hand them back."""
    with DataContext.current(_context(team.actors)):
        shards = ray.data.read_datasource(_Corpus(work), override_num_blocks=1, num_cpus=0)
        results = shards.map_batches(
            _Actor,
            fn_constructor_args=(replace(recruit, device=team.device), team.cpus),
            batch_size=1,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=team.actors),
            num_cpus=team.cpus,
            num_gpus=team.gpus,
        )
        try:
            for batch in results.iter_batches(batch_size=None, batch_format="pyarrow"):
                for row in batch.to_pylist():
                    yield _unpacked(row, model)
        except RayError as error:
            raise RunError(
                f"the cluster must do its work: {_line(error)}; what was written before is whole, "
                "and the same command goes on"
            ) from error


def _context(actors: int) -> DataContext:
    """Return Ray Data's settings: quiet, and with a bound on the shards that are on their way."""
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Every row a block of its own: Ray would gather rows until they fill 128 MB.
    context.target_max_block_size = 1
    # The reader is quicker than all actors together, and waits where this is used up.
    room = ExecutionResources.for_limits(object_store_memory=_STORE * max(1, actors // _SHARE))
    context.execution_options = ExecutionOptions(resource_limits=room)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return context


class _Corpus(Datasource):
    """Reads shards in one task."""

    def __init__(self, work: Work) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Whoever reads works in another folder.
        places = (str(user_path(part.path).absolute()) for part in work.sources)
        sources = zip(work.sources, places, strict=True)
        self._work = replace(work, sources=tuple(replace(part, path=at) for part, at in sources))

    @property
    def supports_distributed_reads(self) -> bool:
        """Whether other machines may read: they need not have the files."""
        return False

    def estimate_inmemory_data_size(self) -> None:
        """Say nothing about the size, which is not known."""

    def get_read_tasks(self, parallelism: int, *_: object, **__: object) -> list[ReadTask]:
        """Return the one task."""
        del parallelism
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(partial(_tables, self._work), unknown)]


def _tables(work: Work) -> Iterator[pa.Table]:
    try:
        for shard in work.shards():
            yield _row(number=shard.number, prompts=list(shard.prompts), counts=list(shard.counts))
    except MeanPromptError as error:
        yield _row(fault=str(error))


class _Actor:
    """Holds a model on one device, and embeds shards one by one.

    What goes wrong is handed back as a row: an error that is raised here makes Ray print pages.
    """

    def __init__(self, recruit: ActorModel, threads: int) -> None:
        import torch

        from mean_prompt.encoder import load_encoder

        if recruit.device == "cpu":
            torch.set_num_threads(threads)
        self._fault: str | None = None
        try:
            self._encoder = load_encoder(
                recruit.model, device=recruit.device, screening="float32", trust=recruit.trust
            )
        except MeanPromptError as error:
            self._fault = str(error)

    def __call__(self, table: pa.Table) -> pa.Table:
        [row] = table.to_pylist()
        fault = row.get("fault") or self._fault
        if fault:
            return _row(fault=fault)
        try:
            encoded = encode_halves(self._encoder, row["prompts"])
        except MeanPromptError as error:
            return _row(fault=str(error))
        return _row(
            number=row["number"],
            prompts=row["prompts"],
            counts=row["counts"],
            vectors=encoded.vectors.tobytes(),
            rounding=encoded.rounding,
            cut=encoded.cut,
            model=self._encoder.identity.content_hash,
        )


#: The same for all rows: Ray wants blocks of one schema.
_SCHEMA: Final = pa.schema(
    {
        "number": pa.int64(),
        "prompts": pa.list_(pa.string()),
        "counts": pa.list_(pa.int64()),
        "vectors": pa.large_binary(),  # a shard may have gigabytes of them
        "rounding": pa.float64(),
        "cut": pa.int64(),
        "model": pa.string(),
        "fault": pa.string(),
    }
)


def _row(**fields: object) -> pa.Table:
    """Return a table of one row; what is not given is null."""
    return pa.Table.from_pylist([fields], schema=_SCHEMA)


def _unpacked(row: dict[str, Any], model: ModelEntry) -> tuple[Shard, Encoded]:
    if row["fault"] is not None:
        raise RunError(f"the cluster must do its work: {row['fault']}")
    if row["model"] != model.content_hash:
        raise InputError(
            f"every machine must have the same model: this one has {model.name} as "
            f"{model.content_hash[:12]}, another {row['model'][:12]}; give --model a folder that "
            "is the same on all of them"
        )
    shard = Shard(row["number"], tuple(row["prompts"]), tuple(row["counts"]))
    vectors = np.frombuffer(row["vectors"], np.float16).reshape(len(shard.prompts), -1)
    return shard, Encoded(vectors, row["rounding"], row["cut"])


def _line(error: BaseException) -> str:
    """Return the line of a message that says what happened: Ray's end with it."""
    lines = [line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
