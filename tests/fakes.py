"""An encoder small enough to compute by hand: a word is a vector, a string their weighted sum."""

from zlib import crc32

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from mean_prompt.encoder.encoder import Screening
from mean_prompt.encoder.identity import ModelIdentity

WORDS = ("the", "rewrite", "text", "poem", "formal", "story", "tone", "make", "style", "email")


class FakeEncoder:
    """e(s) = normalize(sum over positions i of (1 + i / 10) W[token i]), with random rows W.

    It offers what the search asks of an :class:`~mean_prompt.encoder.encoder.Encoder`, counts the
    strings it encodes, and needs no model. An empty string has the vector of an unknown word.
    """

    def __init__(self, words=WORDS, *, dimension=6, max_tokens=16, seed=0):
        vocabulary = {"[UNK]": 0} | {word: number for number, word in enumerate(words, 1)}
        self.tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
        self.tokenizer.pre_tokenizer = Whitespace()
        self.tokenizer.add_special_tokens(["[UNK]"])
        self.words = np.random.default_rng(seed).standard_normal((len(vocabulary), dimension))
        self.words = self.words.astype(np.float32)
        spelling = crc32(" ".join(words).encode())
        self.identity = ModelIdentity("fake", None, f"fake-{seed}-{dimension}-{spelling:x}")
        self.screening = Screening("float32", 1.0, 1.0)
        self.device = "cpu"
        self.max_tokens = max_tokens
        self.special_token_count = 0
        self.screening_model = [object()]
        self.dimension = dimension
        self.encoded = 0

    def tokenize(self, texts):
        return [tuple(row.ids) for row in self.tokenizer.encode_batch(list(texts))]

    def decode(self, ids):
        return self.tokenizer.decode_batch([list(row) for row in ids], skip_special_tokens=False)

    def input_embeddings(self):
        return torch.from_numpy(self.words)

    def encode_ids(self, ids):
        self.encoded += len(ids)
        if not len(ids):
            return np.empty((0, self.dimension), np.float32)
        return np.stack([self._vector(row) for row in ids])

    def encode(self, texts):
        return self.encode_ids(self.tokenize(texts))

    screen_ids = encode_ids
    screen = encode

    def _vector(self, ids):
        ids = tuple(ids) or (0,)
        scale = 1 + np.arange(len(ids), dtype=np.float32)[:, None] / 10
        total = (self.words[list(ids)] * scale).sum(axis=0)
        return (total / np.linalg.norm(total)).astype(np.float32)
