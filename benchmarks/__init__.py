"""Benchmarks for developers of mean-prompt, not part of the installed package."""
