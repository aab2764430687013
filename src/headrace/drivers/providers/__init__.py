"""Providers whose wire format has quirks that data cannot express."""
