"""Bytes on the network: one module per public format; imports the domain only."""
