"""Use cases, one module each; they know ports and never drivers."""
