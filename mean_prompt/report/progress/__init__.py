"""Progress of a running search, in a terminal and in a notebook."""
