"""The search: predictions, moves, phrases, climbs, the study over climbs, baselines."""
