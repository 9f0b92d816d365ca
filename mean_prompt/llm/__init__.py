"""Language models that predict a row's prompt: recorded, local, or behind a server."""
