"""Prints the JSON Schema of a catalog file; `make generate` keeps it in the package."""

import sys

from headrace.wire.catalog_schema import schema_text

if __name__ == "__main__":
    sys.stdout.write(schema_text())
