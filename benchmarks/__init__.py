"""Measures Headrace against direct calls and LiteLLM's proxy; nothing here ships."""
