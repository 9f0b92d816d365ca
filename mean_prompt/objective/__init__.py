"""Sharpened cosine similarity, its expectation over a corpus, and its bounds."""
