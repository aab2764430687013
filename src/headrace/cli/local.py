"""What the command line asks of this machine rather than of a server; the composition root answers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from headrace.domain.doctor import DoctorFinding
from headrace.domain.finding import Finding
from headrace.domain.settings import ServeOptions


@dataclass(frozen=True, slots=True)
class MadeHome:
    """A home that is ready: where it lies, where its credentials lie, and whether it was made just now."""

    home: Path
    credentials: Path
    created: bool


class LocalVerbs(Protocol):
    """The verbs that are no clients of the API; each may raise OperatorError."""

    def serve(self, options: ServeOptions) -> int:
        """Run the platform until it is told to stop and return its exit status."""
        ...

    def init(self, home: Path, base_url: str) -> MadeHome:
        """Make the home and its credentials, or find them made."""
        ...

    def doctor(self, home: Path) -> Sequence[DoctorFinding]:
        """Check store, engines, providers, clock and versions."""
        ...

    def catalog_check(self, folder: Path) -> Sequence[Finding]:
        """Check the shipped catalog together with the files in a folder, which may be missing."""
        ...

    def backup(self, home: Path, destination: Path) -> str:
        """Write a consistent copy of the home's store to one file; returns what the operator must know of it."""
        ...

    def restore(self, source: Path, home: Path, force: bool) -> str:
        """Put a backup in the place of the store, without force only where there is none; returns what is next."""
        ...
