"""Scorers: which task a prompt belongs to, and how sure that is, on the CPU."""
