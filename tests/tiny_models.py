"""Tiny models of the two kinds that the product meets, built with random weights and saved.

Both are saved as sentence-transformers folders, so that tests load them through the real
loading code. Their vectors mean nothing, yet differ from string to string.
"""

import math
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from transformers import BertConfig, BertModel, BertTokenizer, T5Config, T5EncoderModel, T5Tokenizer

#: Longest input of both models, special tokens included.
READS = 128

#: From the most to the least frequent in prompts that ask for a text to be rewritten.
_BY_FREQUENCY = """
the a this text to as in of and with it rewrite for make into story poem style write an style more
is if from by tone formal email letter by like were was written that on using use speech about
turn convert change essay song paragraph sound add improve imagine version keep simple words short
language please being humorous funny dialogue scene report summary news article script diary
passage one two three his her its their your you he she they we be at or but not so all no any
Rewrite Make Write Turn Convert Change Improve Summarise Translate Imagine Add Keep Please The
clear clearer longer shorter friendly polite angry sad happy calm dark gloomy dramatic romantic
poetic professional academic technical legal medical casual modern ancient Victorian Shakespearean
pirate detective robot wizard knight king queen child teacher doctor lawyer soldier poet sailor
chef scientist villain hero ghost dragon cat dog sea space ship castle forest city village world
haiku sonnet rap limerick ballad hymn chorus verse stanza rhyme line lines word sentence title
play novel fable myth legend fairy tale tales recipe manual guide review blog post tweet menu
advert slogan memo notes list bullet points point steps instructions rules contract weather sport
match movie film trailer monologue interview podcast sermon toast eulogy joke riddle puzzle game
meaning mood voice view person past present future tense grammar spelling clarity detail details
while before after under over between without within through then than when where who what how
give take tell show explain describe replace remove include follow begin end start finish shift
"""
WORDS = tuple(dict.fromkeys(_BY_FREQUENCY.split()))

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?'\"()-&/"
SUFFIXES = ("ed", "ing", "ly", "er", "ion", "ness", "ful", "al", "es", "re", "in", "th", "ou")


def save_tiny_t5(folder: Path, *, dtype: torch.dtype = torch.float32) -> Path:
    """Save a model of sentence-t5's shape: Unigram, T5 encoder, mean, Dense without bias, unit."""
    tokenizer = T5Tokenizer(vocab=unigram_pieces(), extra_ids=0)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="relu",
        is_encoder_decoder=False,
        use_cache=False,
    )
    dense = {"in_features": 32, "out_features": 24, "bias": False, "activation_function": None}
    return _save(T5EncoderModel, config, tokenizer, folder, dtype, dense=dense)


def save_tiny_bert(folder: Path, *, dtype: torch.dtype = torch.float32) -> Path:
    """Save a model of MiniLM's shape: lower-casing WordPiece, BERT, mean, unit."""
    tokenizer = BertTokenizer(vocab={piece: i for i, piece in enumerate(wordpiece_pieces())})
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=READS,
        initializer_range=0.3,
    )
    return _save(BertModel, config, tokenizer, folder, dtype)


def unigram_pieces() -> list[tuple[str, float]]:
    """Return SentencePiece's pieces and log probabilities; whole words beat their spelling."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    whole = [(f"▁{word}", -math.log(20 + rank)) for rank, word in enumerate(WORDS)]
    parts = [("▁", -6.0), *((suffix, -7.0) for suffix in SUFFIXES)]
    return special + whole + parts + [(letter, -9.0) for letter in LETTERS]


def wordpiece_pieces() -> list[str]:
    """Return WordPiece's vocabulary: whole words, and letters to spell the others."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = LETTERS.lower()
    goes_on = [f"##{piece}" for piece in (*SUFFIXES, *letters)]
    return list(dict.fromkeys([*special, *(word.lower() for word in WORDS), *letters, *goes_on]))


def _save(model_class, config, tokenizer, folder, dtype, *, dense=None):
    parts = folder.with_name(f"{folder.name}-parts")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model_class(config).save_pretrained(parts)
        tokenizer.save_pretrained(parts)
        transformer = modules.Transformer(str(parts), max_seq_length=READS)
        chain = [transformer, modules.Pooling(config.hidden_size, pooling_mode="mean")]
        if dense:
            chain.append(modules.Dense(**dense))
        model = SentenceTransformer(modules=[*chain, modules.Normalize()], device="cpu")
    model.to(dtype).save(str(folder), create_model_card=False)
    return folder
