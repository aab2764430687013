"""Owns applying the numbered steps with Alembic on an open connection; when to do so is upgrade.py's."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection as CoreConnection
from sqlalchemy import create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from headrace.domain.errors import StoreUnusable
from headrace.drivers.stores.sqlite import Connection, library


def apply_steps(connection: Connection, folder: Path) -> None:
    """Apply every step in the folder that is missing, in one transaction; a failing one leaves all as it was.

    Raises StoreUnusable when a step fails.
    """
    engine = create_engine("sqlite://", module=library, poolclass=StaticPool, creator=lambda: connection)

    def begin(core: CoreConnection) -> None:
        core.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "begin", begin)
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        with engine.begin() as core:
            config.attributes["connection"] = core
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise StoreUnusable(
            "The database could not be brought to this version's schema; it was left as it was. Go on with the "
            f"version of Headrace that wrote it, and report this: {error.args[0]}",
            detail=str(error),
        ) from error
    finally:
        connection.execute("PRAGMA foreign_keys = ON")
