"""Encoders: texts to vectors on the CPU."""
