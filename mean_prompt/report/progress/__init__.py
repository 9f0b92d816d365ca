"""Progress of long work: a live display in a terminal or a notebook, lines in a log file."""
