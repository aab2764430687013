"""What the command line asks of this machine, answered by the real services and drivers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.cli import environment
from headrace.cli.local import MadeHome
from headrace.cli.options import store_of
from headrace.domain.audit import AuditReport
from headrace.domain.checkable import Checkable
from headrace.domain.doctor import DoctorFinding
from headrace.domain.errors import ConfigInvalid
from headrace.domain.finding import Finding
from headrace.domain.moved import Moved
from headrace.domain.secret import Secret
from headrace.domain.settings import ServeOptions
from headrace.domain.strength import Strength

if TYPE_CHECKING:
    from headrace.app.model_files import AddedModels
    from headrace.app.price_files import PriceFiles
    from headrace.ports.fleet import Progress
    from headrace.services.model_adding import Addition, AddWishes
    from headrace.services.price_proposals import Comparison
    from headrace.wire.price_sources import Format


class InstalledVerbs:
    """The local verbs; each imports what it needs when it is used, so that help is quick."""

    def serve(self, options: ServeOptions) -> int:
        """Run the platform until it is told to stop."""
        from headrace.app.serving import serve  # noqa: PLC0415 - only this verb pays for the server

        return serve(options, environment.snapshot())

    def init(self, home: Path, base_url: str) -> MadeHome:
        """Make the home and its credentials, or find them made."""
        from headrace.app.first_start import FILE_NAME, ensure_credentials  # noqa: PLC0415 - as above
        from headrace.app.foundation import open_foundation  # noqa: PLC0415 - as above

        with open_foundation(home, _store(home)) as ground:
            making = ensure_credentials(home, base_url, ground.keys, ground.identity, ground.clock)
            _, is_new = asyncio.run(making)
        return MadeHome(home, home / FILE_NAME, is_new)

    def doctor(self, home: Path) -> Sequence[DoctorFinding]:
        """Check store, engines, providers, clock and versions."""
        from headrace.app.doctor import examine  # noqa: PLC0415 - as above

        return examine(home, environment.snapshot(), _store(home))

    def catalog_check(self, folder: Path) -> Sequence[Finding]:
        """Check the shipped catalog, its presets among it, together with the files in a folder."""
        from headrace.app.adapters import ADAPTERS  # noqa: PLC0415 - as above
        from headrace.drivers.catalogs.files import CatalogFiles  # noqa: PLC0415 - as above
        from headrace.drivers.catalogs.presets import PresetFiles  # noqa: PLC0415 - as above
        from headrace.services.catalog import check_catalog  # noqa: PLC0415 - as above
        from headrace.wire.preset_file import check_presets  # noqa: PLC0415 - as above

        return *check_catalog(CatalogFiles(folder).read(), ADAPTERS), *check_presets(PresetFiles(folder).texts())

    def price_diff(self, folder: Path, file: Path, form: Format, provider: str | None) -> Comparison:
        """Compare a file's prices with those in force."""
        return self._price_files(folder).compare(file, form, provider)

    def price_import(
        self, folder: Path, file: Path, form: Format, provider: str | None
    ) -> tuple[Comparison, tuple[Path, ...]]:
        """Write a file's prices as proposals below the catalog folder."""
        return self._price_files(folder).propose(file, form, provider)

    def price_apply(self, folder: Path, proposal: Path) -> Path:
        """Add a reviewed proposal's prices to the operator's catalog file."""
        return self._price_files(folder).apply(proposal)

    def _price_files(self, folder: Path) -> PriceFiles:
        from headrace.app.price_files import PriceFiles  # noqa: PLC0415 - as above
        from headrace.drivers.ambient import SystemClock  # noqa: PLC0415 - as above

        return PriceFiles(folder, SystemClock())

    def model_look(self, home: Path, path: Path, wishes: AddWishes) -> Addition:
        """Return the catalogue model that a file or folder would become."""
        return self._model_adder(home).look(path, wishes)

    def model_add(self, home: Path, added: Addition, watch: Callable[[Progress], None]) -> Path:
        """Write a model into the home's catalogue."""
        return self._model_adder(home).add(added, watch)

    def model_forget(self, home: Path, model_id: str) -> Path | None:
        """Take a model that was added out of the home's catalogue."""
        return self._model_adder(home).forget(model_id)

    def _model_adder(self, home: Path) -> AddedModels:
        from headrace.app.model_files import AddedModels  # noqa: PLC0415 - as above
        from headrace.drivers.ambient import SystemClock  # noqa: PLC0415 - as above

        return AddedModels(home, SystemClock())

    def checkable(self) -> tuple[str, Sequence[Checkable]]:
        """Return today's date and the checkable prompts that ship."""
        from headrace.drivers.ambient import SystemClock  # noqa: PLC0415 - as above
        from headrace.drivers.catalogs.checkable import shipped_checkable  # noqa: PLC0415 - as above
        from headrace.wire.iso_time import iso_time  # noqa: PLC0415 - as above

        return iso_time(SystemClock().unix_micros())[:10], shipped_checkable()

    def save_strengths(self, folder: Path, strengths: Sequence[Strength]) -> Path:
        """Write strengths of models below the catalog folder."""
        from headrace.drivers.catalogs.strengths import add_strengths  # noqa: PLC0415 - as above

        return add_strengths(folder, strengths)

    def audit(self, home: Path, watch: Callable[[Progress], None]) -> AuditReport:
        """Derive every figure of the home's books anew."""
        from headrace.app.postgres import postgres_driver  # noqa: PLC0415 - as above
        from headrace.drivers.ambient import SystemClock  # noqa: PLC0415 - as above
        from headrace.drivers.stores.auditing import audit_home  # noqa: PLC0415 - as above

        now_micros, store = SystemClock().unix_micros(), _store(home)
        if store is not None:
            return postgres_driver().audit_postgres(store, now_micros, watch)
        return audit_home(home, now_micros, watch)

    def rebuild_usage(self, home: Path) -> None:
        """Make the hourly sums of usage anew from the ledger."""
        from headrace.app.postgres import postgres_driver  # noqa: PLC0415 - as above
        from headrace.drivers.stores.auditing import rebuild_usage  # noqa: PLC0415 - as above

        store = _store(home)
        if store is not None:
            return postgres_driver().rebuild_postgres(store)
        return rebuild_usage(home)

    def migrate(self, home: Path, to: Secret, watch: Callable[[Progress], None]) -> Moved:
        """Move the home's books into an empty PostgreSQL database."""
        from headrace.app.postgres import postgres_driver  # noqa: PLC0415 - as above
        from headrace.drivers.ambient import SystemClock  # noqa: PLC0415 - as above

        return postgres_driver().move_books(home, to, SystemClock(), watch)

    def backup(self, home: Path, destination: Path) -> str:
        """Write a consistent copy of the home's store to one file."""
        from headrace.drivers.stores.backup import backup  # noqa: PLC0415 - as above

        _require_file(home, "Copy it with pg_dump, and HOME/secrets, HOME/catalog and HOME/headrace.toml beside it.")
        return backup(home, destination).note

    def restore(self, source: Path, home: Path, force: bool) -> str:
        """Put a backup in the place of the home's store."""
        from headrace.drivers.ambient import SystemClock  # noqa: PLC0415 - as above
        from headrace.drivers.stores.backup import restore  # noqa: PLC0415 - as above

        _require_file(home, "Put it back with pg_restore into an empty database.")
        return restore(source, home, SystemClock(), force=force).note


def _store(home: Path) -> Secret | None:
    return store_of(home, environment.Environment(environment.snapshot()))


def _require_file(home: Path, instead: str) -> None:
    if _store(home) is not None:
        raise ConfigInvalid(f"The books of {home} are in PostgreSQL, not in a file. {instead}", param="store")
