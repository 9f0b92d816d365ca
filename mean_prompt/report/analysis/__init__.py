"""A string in its corpus's space: per-prompt scores, token contributions, clusters, a map."""
