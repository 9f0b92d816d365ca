"""The search for an affix: one string put before or after every predicted prompt."""
