"""Sentence encoders: strings to unit vectors."""
