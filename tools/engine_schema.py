"""Prints the JSON Schema of an engine file; `make generate` keeps it in the package."""

import sys

from headrace.wire.engine_schema import schema_text

if __name__ == "__main__":
    sys.stdout.write(schema_text())
