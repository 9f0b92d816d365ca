"""Hybrid predictions: the universal string blended, row by row, with retrieval and an LLM."""
