"""PostgreSQL behind the same stores: their statements run unchanged on an adapted session."""
