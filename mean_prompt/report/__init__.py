"""A run or a submission that explains itself: the data of its page, and the drawing of it."""
