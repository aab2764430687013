"""Prints the table of stable codes as a module, from docs/errors.md; `make generate` keeps it in the package."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROW = re.compile(r"^\| `([a-z0-9_]+)` \| ([^|]+?) \|", re.MULTILINE)
HEAD = '''"""Every stable code with its statuses; generated from docs/errors.md by tools.error_codes."""

from __future__ import annotations

from collections.abc import Mapping

STATUSES: Mapping[str, tuple[int, ...]] = {
'''


def statuses_in(text: str) -> Mapping[str, tuple[int, ...]]:
    """Return the codes that replies carry, in alphabetical order; codes without a status stand only in receipts."""
    found: dict[str, set[int]] = {}
    for code, cell in ROW.findall(text):
        numbers = {int(each) for each in re.findall(r"\b[1-5][0-9]{2}\b", cell)}
        if numbers:
            found.setdefault(code, set()).update(numbers)
    return {code: tuple(sorted(found[code])) for code in sorted(found)}


def module_text(text: str) -> str:
    """Return the module."""
    lines: list[str] = []
    for code, statuses in statuses_in(text).items():
        numbers = f"({statuses[0]},)" if len(statuses) == 1 else f"({', '.join(map(str, statuses))})"
        lines.append(f'    "{code}": {numbers},\n')
    return f"{HEAD}{''.join(lines)}}}\n"


if __name__ == "__main__":
    sys.stdout.write(module_text((ROOT / "docs/errors.md").read_text()))
