"""A string in a corpus's space: whom it serves, what its tokens are worth, where it lies."""
