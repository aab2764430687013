"""What the command line asks of this machine rather than of a server; the composition root answers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from headrace.domain.audit import AuditReport
from headrace.domain.checkable import Checkable
from headrace.domain.doctor import DoctorFinding
from headrace.domain.finding import Finding
from headrace.domain.moved import Moved
from headrace.domain.secret import Secret
from headrace.domain.settings import ServeOptions
from headrace.domain.strength import Strength

if TYPE_CHECKING:
    from headrace.ports.fleet import Progress
    from headrace.services.model_adding import Addition, AddWishes
    from headrace.services.price_proposals import Comparison
    from headrace.wire.price_sources import Format


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

    def price_diff(self, folder: Path, file: Path, form: Format, provider: str | None) -> Comparison:
        """Compare a file's prices with those in force; writes nothing."""
        ...

    def price_import(
        self, folder: Path, file: Path, form: Format, provider: str | None
    ) -> tuple[Comparison, tuple[Path, ...]]:
        """Write a file's prices as proposals below the catalog folder; none is in force."""
        ...

    def price_apply(self, folder: Path, proposal: Path) -> Path:
        """Add a reviewed proposal's prices to the operator's catalog file, which is returned."""
        ...

    def checkable(self) -> tuple[str, Sequence[Checkable]]:
        """Return today's ISO date and the prompts that a model is calibrated on."""
        ...

    def save_strengths(self, folder: Path, strengths: Sequence[Strength]) -> Path:
        """Write strengths of models below the catalog folder, beside those that are there; returns the file."""
        ...

    def model_look(self, home: Path, path: Path, wishes: AddWishes) -> Addition:
        """Return the catalogue model that a file or folder would become; writes nothing."""
        ...

    def model_add(self, home: Path, added: Addition, watch: Callable[[Progress], None]) -> Path:
        """Write the model into the home's catalogue, whose file is returned; `watch` hears how far hashing has come."""
        ...

    def model_forget(self, home: Path, model_id: str) -> Path | None:
        """Take a model that was added out of the catalogue; returns its file, None where it was not added."""
        ...

    def audit(self, home: Path, watch: Callable[[Progress], None]) -> AuditReport:
        """Derive every figure of the home's books anew; changes nothing, also while a server runs."""
        ...

    def rebuild_usage(self, home: Path) -> None:
        """Make the hourly sums of usage anew from the ledger, while no server runs in the home."""
        ...

    def migrate(self, home: Path, to: Secret, watch: Callable[[Progress], None]) -> Moved:
        """Move the home's books into an empty PostgreSQL database; `watch` hears how far it has come."""
        ...

    def backup(self, home: Path, destination: Path) -> str:
        """Write a consistent copy of the home's store to one file; returns what the operator must know of it."""
        ...

    def restore(self, source: Path, home: Path, force: bool) -> str:
        """Put a backup in the place of the store, without force only where there is none; returns what is next."""
        ...
