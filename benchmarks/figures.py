"""Helpers of benchmarks: write measurements, start the program, save a tiny BERT model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from mean_prompt.bench import Machine
from mean_prompt.encoder import PACKAGED_MODEL, find_model, quiet_loading
from mean_prompt.system import RunError, write_atomically

#: Most tokens of a string that the tiny model reads.
_READS: Final = 256


def write_figures(
    out: Path, program: str, figures: Mapping[str, Any], *, device: str = "cpu"
) -> None:
    """Write measurements as JSON, after a description of the machine.

    Args:
        out: the file.
        program: the command that starts the benchmark: ``python -m ...``.
        figures: the measurements, JSON values by name.
        device: the device that the model ran on.
    """
    machine = Machine.here(device, program).model_dump()
    write_atomically(out, (json.dumps({"machine": machine, **figures}, indent=2) + "\n").encode())


def start(
    arguments: Sequence[str], variables: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start ``mean-prompt`` with arguments and more environment variables, without its output."""
    return subprocess.Popen(  # noqa: S603 - our own command line
        [sys.executable, "-m", "mean_prompt", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | (variables or {}),
    )


def finish(process: subprocess.Popen[bytes]) -> tuple[str, str]:
    """Wait for a process; return ``done`` or the signal that ended it, and its standard error.

    Raises:
        RunError: the process ended with an error.
    """
    errors = process.communicate()[1].decode("utf-8", "replace")
    if process.returncode > 0:
        raise RunError(f"a search must not fail: {errors.strip().splitlines()[-1]}")
    return signal.Signals(-process.returncode).name if process.returncode else "done", errors


def save_tiny_bert(folder: Path, *, width: int = 64) -> Path:
    """Save a small random BERT with all-MiniLM-L6-v2's vocabulary; return its folder.

    Raises:
        InputError: the packaged model is not installed.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import AutoTokenizer, BertConfig, BertModel

    with quiet_loading(), torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as parts:
        torch.manual_seed(0)
        tokenizer = AutoTokenizer.from_pretrained(find_model(PACKAGED_MODEL).path)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=2 * width,
            max_position_embeddings=_READS,
            initializer_range=0.3,
        )
        BertModel(config).save_pretrained(parts)
        tokenizer.save_pretrained(parts)
        chain = [
            modules.Transformer(parts, max_seq_length=_READS),
            modules.Pooling(width, pooling_mode="mean"),
            modules.Normalize(),
        ]
        SentenceTransformer(modules=chain, device="cpu").save(str(folder), create_model_card=False)
    return folder
