"""The search for a string that is joined to every prediction."""
