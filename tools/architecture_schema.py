"""Prints the JSON Schema of an architecture file; `make generate` keeps it in the package."""

import sys

from headrace.wire.architecture_schema import schema_text

if __name__ == "__main__":
    sys.stdout.write(schema_text())
