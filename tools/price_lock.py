"""Prints the ids of all shipped price versions; refuses when one that was shipped before is gone.

An id holds a digest of its rates, so an edited price is a lost id: prices change by a new dated entry only.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from headrace.drivers.catalogs.files import shipped_files
from headrace.services.catalog import build_catalog, price_versions

LOCK = Path(__file__).resolve().parent.parent / "src/headrace/catalog/prices.lock"


def lost(locked: Iterable[str], shipped: Iterable[str]) -> tuple[str, ...]:
    """Return the price versions that were shipped once and are not any more."""
    return tuple(sorted(set(locked) - set(shipped)))


def main() -> int:
    """Print the lock file's content, or say which price was edited."""
    shipped = price_versions(build_catalog(shipped_files()))
    gone = lost(LOCK.read_text(encoding="utf-8").split() if LOCK.exists() else (), shipped)
    if gone:
        sys.stderr.write(
            f"Shipped prices were edited or removed: {', '.join(gone)}.\n"
            "Put them back and add a new [[models.prices]] entry with a later date.\n"
        )
        return 1
    sys.stdout.write("".join(f"{each}\n" for each in shipped))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
