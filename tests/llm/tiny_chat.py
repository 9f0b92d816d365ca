"""A tiny chat model: random weights, whole words for tokens, saved as a user's folder is.

It writes words at random that depend on all it was asked; temperature and seed change them.
"""

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mean_prompt.encoder.loading import quiet_loading
from tests.tiny_models import WORDS

#: Tokens that it reads, question and answer together.
READS = 512
SPECIAL = ("<unk>", "<pad>", "</s>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{% for turn in messages %}<|{{ turn['role'] }}|> {{ turn['content'] }} </s> {% endfor %}"
    "{% if add_generation_prompt %}<|assistant|> {% endif %}"
)


def save_tiny_chat(folder, *, template=TEMPLATE, reads=READS, seed=0):
    """Save a model of Llama's shape; without a template it is a base model."""
    words = Tokenizer(WordLevel({word: n for n, word in enumerate(SPECIAL + WORDS)}, "<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="</s>",
        extra_special_tokens=list(SPECIAL[3:]),
        model_max_length=reads,
    )
    tokenizer.chat_template = template
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=reads,
        initializer_range=0.5,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=1,
    )
    with torch.random.fork_rng(devices=[]), quiet_loading():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
        # As chat models are shipped: a server samples at this temperature by default.
        model.generation_config.update(do_sample=True, temperature=0.8)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder
