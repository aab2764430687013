"""Nouns and pure decisions of the product: no I/O, no clock, no environment."""
