"""What a run needs, looked at piece by piece, and what to do where something is amiss."""
