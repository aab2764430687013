"""Checks and generators that `make` runs; nothing here ships."""
