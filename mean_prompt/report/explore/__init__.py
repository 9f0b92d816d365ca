"""The explorer: a local web page that compares typed strings with the prompts of a corpus."""
