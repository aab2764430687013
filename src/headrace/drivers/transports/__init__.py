"""Transports: how one request travels to an upstream and its bytes come back."""
