"""How searches and what they find look: in a terminal, in a log file, in a notebook."""
