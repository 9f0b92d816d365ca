"""Replacing the attention function of a transformer.

Symbols: n tokens, H heads, k width of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Name of our attention among those of transformers.
_ATTENTION: Final = "mean_prompt_propagation"

_Attention = Callable[..., tuple[torch.Tensor, None]]
_ACTIVE: ContextVar[_Attention] = ContextVar("mean_prompt_attention")


class NotPropagable(Exception):  # noqa: N818 - an answer, not a failure
    """The model's architecture does not allow propagation; the message says why."""


def attention_scores(
    query: torch.Tensor,
    key: torch.Tensor,
    bias: torch.Tensor | None,
    mask: torch.Tensor | None,
    scaling: float,
) -> torch.Tensor:
    """Return attention scores in float32: (1, H, n, k) twice -> (1, H, n, n)."""
    if query.shape[1] != key.shape[1]:
        raise NotPropagable("several heads share their keys")
    scores = (query @ key.transpose(-1, -2)).float() * scaling
    for added in (bias, mask):
        if added is not None and added.is_floating_point():
            scores = scores + added.float()
    return scores


def register() -> None:
    """Register the attention whose function :func:`attending` sets."""

    def attend(*args: object, **options: object) -> tuple[torch.Tensor, None]:
        return _ACTIVE.get()(*args, **options)

    register_attention(_ATTENTION, attend)


def register_attention(name: str, attend: _Attention) -> None:
    """Register an attention function with transformers, with the masks of torch's fused one."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(name, attend)
    AttentionMaskInterface.register(name, sdpa_mask)


@contextmanager
def attending(network: PreTrainedModel, attend: _Attention) -> Iterator[None]:
    """Use an attention function in a transformer inside the block."""
    usual = network.config._attn_implementation  # noqa: SLF001 - set_attn_implementation checks
    token = _ACTIVE.set(attend)
    network.config._attn_implementation = _ATTENTION  # noqa: SLF001
    try:
        yield
    finally:
        network.config._attn_implementation = usual  # noqa: SLF001
        _ACTIVE.reset(token)
