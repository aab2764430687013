"""Owns applying the numbered steps to a PostgreSQL database; imported only when there is a step to take.

The steps are those of SQLite. What differs is told here once: texts are compared byte by byte, whatever the database's
own language, because ids and scopes are looked for by range; and `json_each` is there as SQLite has it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import Text, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import StaticPool

from headrace.domain.errors import StoreUnusable
from headrace.drivers.stores.postgres.place import Place

JSON_EACH = """
CREATE OR REPLACE FUNCTION json_each(document text) RETURNS TABLE (key bigint, value text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT place - 1, element FROM json_array_elements_text(document::json) WITH ORDINALITY AS each(element, place)
$$
"""


@compiles(Text, "postgresql")
def _text_by_bytes(kind: Text, compiler: Any, **more: Any) -> str:
    return 'TEXT COLLATE "C"'


def apply_steps(place: Place, folder: Path) -> None:
    """Apply every step in the folder that is missing, in one transaction; a failing one leaves all as it was.

    Raises StoreUnusable when a step fails.
    """
    engine = create_engine(
        "postgresql+psycopg://", poolclass=StaticPool, creator=lambda: psycopg.connect(place.conninfo.reveal())
    )
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    try:
        with engine.begin() as core:
            core.exec_driver_sql(JSON_EACH)
            config.attributes["connection"] = core
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise StoreUnusable(
            f"{place.name} could not be brought to this version's schema; it was left as it was. Go on with the "
            f"version of Headrace that wrote it, and report this: {error.args[0]}",
            detail=str(error),
        ) from error
    finally:
        engine.dispose()
