"""Stores: the database behind the ledger, keys and credentials."""
