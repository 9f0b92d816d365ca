"""Benchmarks: search methods at equal time, speed of the encoder, growth with the corpus."""
