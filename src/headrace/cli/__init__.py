"""The headrace command; thin, one module per verb family."""
