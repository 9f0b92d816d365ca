"""The developers' benchmarks, outside the wheel."""
