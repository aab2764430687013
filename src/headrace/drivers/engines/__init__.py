"""Engines: launch plans, readiness and quirks of local model servers."""
