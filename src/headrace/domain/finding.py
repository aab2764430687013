"""What is wrong with a file that an operator wrote: where, what and how to fix it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.domain.errors import ConfigInvalid

SHOWN = 20


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing wrong at one place; `path` names the key in the file, like `models[0].prices[1].input`."""

    file: str
    line: int
    path: str
    problem: str
    fix: str

    def render(self) -> str:
        """Return the finding as two lines of text."""
        place = f"{self.file}:{self.line}: {self.path}: " if self.path else f"{self.file}:{self.line}: "
        return f"{place}{self.problem}\n    fix: {self.fix}"


def config_invalid(findings: Iterable[Finding]) -> ConfigInvalid:
    """Return the error that carries all findings, the first SHOWN of them in its message."""
    ordered = sorted(set(findings))
    shown = [each.render() for each in ordered[:SHOWN]]
    if len(ordered) > SHOWN:
        shown.append(f"… and {len(ordered) - SHOWN} more.")
    first = ordered[0]
    return ConfigInvalid("\n".join(shown), param=first.path or None, extra={"file": first.file, "line": first.line})
