"""Catalog data that ships in the package."""
