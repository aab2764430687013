"""What the composition root calls of this driver, in one module that is imported when an installation uses it."""

from __future__ import annotations

from headrace.drivers.stores.postgres.auditing import audit_postgres, rebuild_postgres
from headrace.drivers.stores.postgres.database import open_postgres
from headrace.drivers.stores.postgres.inspection import inspect_postgres
from headrace.drivers.stores.postgres.moving import move_books

__all__ = ["audit_postgres", "inspect_postgres", "move_books", "open_postgres", "rebuild_postgres"]
