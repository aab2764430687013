"""Prints the JSON Schema of a task's or a router's file; `make generate` keeps both in the package."""

import sys

from headrace.wire.preset_schema import router_schema_text, task_schema_text

SCHEMAS = {"task": task_schema_text, "router": router_schema_text}

if __name__ == "__main__":
    sys.stdout.write(SCHEMAS[sys.argv[1]]())
