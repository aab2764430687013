"""PostgreSQL's driver, imported when an installation uses it: it needs a library that is an extra."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

from headrace.domain.audit import AuditReport
from headrace.domain.errors import ConfigInvalid
from headrace.domain.moved import Moved
from headrace.domain.secret import Secret
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.inspection import StoreReport
from headrace.ports.ambient import Clock
from headrace.ports.fleet import Progress

MODULE = "headrace.drivers.stores.postgres.driver"
LIBRARY = "psycopg"


class PostgresDriver(Protocol):
    """What the driver offers."""

    def open_postgres(self, url: Secret, clock: Clock) -> Database:
        """Open a database as the store of one server."""
        ...

    def inspect_postgres(self, url: Secret) -> StoreReport:
        """Look into a database without changing it."""
        ...

    def audit_postgres(self, url: Secret, now_micros: int, watch: Callable[[Progress], None]) -> AuditReport:
        """Derive every figure of a database's books anew."""
        ...

    def rebuild_postgres(self, url: Secret) -> None:
        """Make the hourly sums anew from the ledger."""
        ...

    def move_books(self, home: Path, url: Secret, clock: Clock, watch: Callable[[Progress], None]) -> Moved:
        """Move a home's books into an empty database."""
        ...


def postgres_driver() -> PostgresDriver:
    """Return the driver; raises ConfigInvalid when its library is not installed."""
    try:
        return cast("PostgresDriver", importlib.import_module(MODULE))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != LIBRARY:
            raise
        raise ConfigInvalid(
            "A store in PostgreSQL needs an extra that is not installed: pip install 'headrace[postgres]'.",
            param="store",
        ) from error
