"""Shipped fakes: a scriptable model provider on a real socket, recorded streams, clocks; none serves."""
