"""Drivers: everything that performs I/O behind a port."""
