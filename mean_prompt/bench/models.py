"""A model of sentence-t5-base's shape with random weights, for timing without a download.

Its vectors mean nothing; the cost of a pass depends on the shapes alone.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any, Final

import torch

from mean_prompt.encoder import ModelIdentity, quiet_loading

if TYPE_CHECKING:
    from mean_prompt.encoder import Encoder

#: The model's name on the command line and in reports.
RANDOM_T5: Final = "random-sentence-t5-base"
#: The shape of sentence-transformers/sentence-t5-base: Ni et al. 2021, Raffel et al. 2020.
_SHAPE: Final = {
    "vocab_size": 32_128,
    "d_model": 768,
    "d_kv": 64,
    "d_ff": 3_072,
    "num_layers": 12,
    "num_heads": 12,
    "relative_attention_num_buckets": 32,
    "feed_forward_proj": "relu",
}
_READS: Final = 256
_SYLLABLES: Final = [consonant + vowel for consonant in "bdfklmnrst" for vowel in "aeiou"]


def random_sentence_t5(
    *, screening: str = "auto", device: str = "cpu", **shape: int | str
) -> Encoder:
    """Return an encoder with random weights and the layer sizes of sentence-t5-base."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    from mean_prompt.encoder import Encoder

    settings: dict[str, Any] = _SHAPE | shape
    with (
        quiet_loading(),
        torch.random.fork_rng(devices=[]),
        tempfile.TemporaryDirectory() as folder,
    ):
        torch.manual_seed(0)
        config = T5Config(**settings, is_encoder_decoder=False, use_cache=False)
        T5EncoderModel(config).save_pretrained(folder)
        T5Tokenizer(vocab=_pieces(config.vocab_size), extra_ids=0).save_pretrained(folder)
        width = config.d_model
        chain = [
            modules.Transformer(folder, max_seq_length=_READS),
            modules.Pooling(width, pooling_mode="mean"),
            modules.Dense(width, 768, bias=False, activation_function=torch.nn.Identity()),
            modules.Normalize(),
        ]
        model = SentenceTransformer(modules=chain, device=device)
    return Encoder(model, ModelIdentity(RANDOM_T5, None, "random"), screening=screening)


def _pieces(size: int) -> list[tuple[str, float]]:
    """Return a synthetic Unigram vocabulary: ``size`` pairs of a piece and its log probability."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    letters = [(chr(code), -14.0) for code in range(33, 127)]
    room = size - len(special) - len(letters) - 1
    words = [f"▁{a}{b}{c}" for a in _SYLLABLES for b in _SYLLABLES for c in ("", *_SYLLABLES)]
    whole = [(word, -10.0) for word in words[:room]]
    return [*special, ("▁", -12.0), *whole, *letters]
