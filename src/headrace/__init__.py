"""Headrace: one key, one endpoint, three ways of running models."""

__version__ = "0.1.0"
