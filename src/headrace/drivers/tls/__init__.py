"""Certificates for the listener: an own certificate authority in the home."""
