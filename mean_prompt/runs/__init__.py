"""One search from start to result: recipe, session, folder, checkpoint."""
