"""Secrets at rest: sealing, the pepper and the master key."""
