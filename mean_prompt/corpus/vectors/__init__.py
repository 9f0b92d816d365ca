"""Corpora beyond one machine's memory or patience: prompts -> shards of vectors in a folder."""
