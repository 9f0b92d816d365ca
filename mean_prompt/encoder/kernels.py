"""Faster kernels for the bfloat16 copy of a model that screens strings on a CPU.

Screening passes are short strings in small batches, which the general kernels serve badly.
Measured on all-MiniLM-L6-v2, 32 tokens, passes of 1,088 tokens, one core with avx512_bf16:

* torch's fused attention took a fifth of a pass, at 21 GFLOP/s; two batched products with an
  exponential between them take less than half of that;
* a linear layer lays its weight out for the matrix product again at every call; laid out once it
  runs at 475 instead of 430 GFLOP/s.

What these do to the vectors is judged by the encoder's parity gate, like bfloat16 itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import torch

from mean_prompt.encoder.attention import register_attention

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

#: Name of the attention below among those of transformers.
ATTENTION: Final = "mean_prompt_short"
#: Longest string, in tokens, that the attention below serves: it holds all L x L scores at once.
_SHORT: Final = 256
#: Scores are held within +- this before the exponential, whose sums then stay finite in bfloat16.
#: Softmax takes the row's maximum away for the same end, which costs as much as all the rest.
_LARGEST_SCORE: Final = 80.0
#: Rows of a matrix product that weights are laid out for; other heights use the same layout.
_LAYOUT_ROWS: Final = 1_024


def use_fast_kernels(model: SentenceTransformer) -> bool:
    """Put the faster kernels into a bfloat16 model, if it is on a CPU that has them.

    Args:
        model: changed in place; it can then no longer be trained or differentiated.

    Returns:
        Whether anything was changed.
    """
    weight = next(model.parameters())
    if weight.device.type != "cpu" or weight.dtype != torch.bfloat16:
        return False
    return any([_shorten_attention(model), _pack_linears(model)])


class PackedLinear(torch.nn.Module):
    """A linear layer whose weight is laid out once, for inference alone.

    Args:
        linear: a layer in bfloat16; its weight is kept as well, under the name that others read.
    """

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(  # noqa: SLF001
            linear.weight.detach(), _LAYOUT_ROWS
        )

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return ``rows @ weight.T + bias``: (..., in) -> (..., out)."""
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
            rows, self._packed, self.bias, "none", [], "none"
        )
        return out


def _pack_linears(model: torch.nn.Module) -> bool:
    if not _can_pack():
        return False
    layers = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        # A subclass does something else; one row of output is not worth a layout.
        if type(child) is torch.nn.Linear
    ]
    for parent, name, child in layers:
        setattr(parent, name, PackedLinear(child))
    return bool(layers)


def _can_pack() -> bool:
    """Return whether this CPU has bfloat16 layouts; those without AVX-512 have none."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001


def _shorten_attention(model: SentenceTransformer) -> bool:
    """Let a transformer that uses torch's fused attention use :func:`short_attention`."""
    network: Any = getattr(model[0], "auto_model", None)
    config = getattr(network, "config", None)
    if getattr(config, "_attn_implementation", None) != "sdpa":
        return False
    register_attention(ATTENTION, short_attention)
    network.set_attn_implementation(ATTENTION)
    return True


def short_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    position_bias: torch.Tensor | None = None,
    **options: Any,  # noqa: ANN401 - those of transformers
) -> tuple[torch.Tensor, None]:
    """Attend by two batched products: (n, heads, L, k) each -> (n, L, heads, k).

    Equal to softmax attention as long as no score leaves +- ``_LARGEST_SCORE``.

    Args:
        module: the layer, for transformers' own attention.
        query: (n, heads, L, k).
        key: (n, heads, L, k).
        value: (n, heads, L, k).
        attention_mask: true where a token may be looked at; nothing is padded without one.
        scaling: of the products; ``k ** -0.5`` by default.
        position_bias: added to them.
        options: passed on to transformers' own attention for longer strings.
    """
    if not _is_short(query, key, attention_mask) or options.get("is_causal"):
        return _fused_attention()(
            module, query, key, value, attention_mask,
            scaling=scaling, position_bias=position_bias, **options,
        )  # fmt: skip
    scores = torch.matmul(query, key.transpose(2, 3))
    if scaling != 1.0:
        scores *= query.shape[3] ** -0.5 if scaling is None else scaling
    if position_bias is not None:
        scores += position_bias
    weights = scores.clamp_(-_LARGEST_SCORE, _LARGEST_SCORE).exp_()
    if attention_mask is not None:
        weights *= attention_mask
    shares = weights.sum(dim=-1, keepdim=True).reciprocal_()
    return (torch.matmul(weights, value) * shares).transpose(1, 2).contiguous(), None


def _is_short(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None) -> bool:
    """Return whether this is plain attention within a short string."""
    plain = key.shape[1] == query.shape[1] and (mask is None or mask.dtype == torch.bool)
    return plain and query.shape[2] <= _SHORT


def _fused_attention() -> Callable[..., tuple[torch.Tensor, None]]:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    return sdpa_attention_forward
