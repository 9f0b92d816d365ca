"""Analyse a string against a corpus of prompts: scores, token contributions, clusters, a map."""
