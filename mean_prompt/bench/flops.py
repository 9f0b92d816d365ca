"""Counting the matrix products of an encoder's forward pass."""

from __future__ import annotations

from mean_prompt.encoder import Encoder


def flops_per_string(encoder: Encoder, tokens: int) -> float:
    """Return the FLOPs of one string's matrix products: 2 a multiplication and addition.

    Projections, feed-forward and attention products are counted by torch as they run, in the
    float32 model, whose kernels torch knows; the screening copy does the same products.

    Args:
        encoder: whose model is run once.
        tokens: of the string, without the special ones, which are added.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    token = encoder.tokenize(["text"])[0][:1]
    # The counter does not know the CPU's fused attention, and counts the plain one's products.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        encoder.encode_ids([token * tokens])
    return float(counter.get_total_flops())
