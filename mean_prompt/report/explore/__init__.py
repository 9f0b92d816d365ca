"""The explorer: a local page on which strings are typed and seen in their corpus's space."""
