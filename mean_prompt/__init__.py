"""Find the mean prompt of a corpus."""
