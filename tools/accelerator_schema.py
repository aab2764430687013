"""Prints the JSON Schema of an accelerator file; `make generate` keeps it in the package."""

import sys

from headrace.wire.accelerator_schema import schema_text

if __name__ == "__main__":
    sys.stdout.write(schema_text())
