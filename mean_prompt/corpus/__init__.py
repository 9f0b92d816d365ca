"""Prompts and triples, from files to rows with weights."""
