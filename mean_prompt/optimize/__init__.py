"""The search: moves, shortlist, phrases, climbs, the study over climbs, baselines."""
