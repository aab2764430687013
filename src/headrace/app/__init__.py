"""The composition root: the only package that knows every other."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the headrace command and exit with its status."""
    from headrace.app.local_verbs import InstalledVerbs  # noqa: PLC0415 - an import must cost nothing
    from headrace.cli.command import run  # noqa: PLC0415 - as above

    sys.exit(run(sys.argv[1:], InstalledVerbs()))
