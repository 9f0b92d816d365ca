"""Many workers on one study: what they share, and how they go about it."""
