"""Starts the measurement as `python -m benchmarks.routing`."""

import sys

from benchmarks.routing.run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
