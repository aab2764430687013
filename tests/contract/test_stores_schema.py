"""The generated SQL is up to date, and the first step makes exactly the schema that Core knows."""

import sqlite3
from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from headrace.drivers.stores import sql
from headrace.drivers.stores.migrations.runner import apply_steps
from headrace.drivers.stores.schema import METADATA
from headrace.drivers.stores.statements import module_text
from headrace.drivers.stores.upgrade import STEPS


def test_the_generated_statements_are_up_to_date() -> None:
    assert Path(sql.__file__).read_text() == module_text()


def migrated() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    apply_steps(connection, STEPS.folder)
    return connection


def test_the_steps_make_the_schema_that_core_knows() -> None:
    engine = sa.create_engine("sqlite://", creator=migrated, poolclass=sa.StaticPool)
    with engine.connect() as core:
        context = MigrationContext.configure(core, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, METADATA) == []
        made = _definitions(core)
        core.rollback()
    with sa.create_engine("sqlite://").connect() as core:
        METADATA.create_all(core)
        assert _definitions(core) == {name: text for name, text in made.items() if name != "alembic_version"}


def _definitions(core: sa.Connection) -> dict[str, set[str]]:
    """Return each table's and index's clauses; their order in the text is no difference."""
    rows = core.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql NOT NULL")
    return {name: set(_clauses(text)) for name, text in rows}


def _clauses(text: str) -> list[str]:
    """Split a definition at the commas and brackets of its outermost list; an added column has no line of its own.

    SQLite quotes the name of a table that was renamed.
    """
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if (character == "," and depth == 1) or (character, depth) in (("(", 1), (")", 0)):
            parts.append("")
        else:
            parts[-1] += character
    return [" ".join(part.replace('"', "").split()) for part in parts if part.strip()]


def test_every_statement_fits_the_schema() -> None:
    connection = migrated()
    names = [name for name in vars(sql) if name.isupper()]
    assert len(names) >= 15
    for name in names:
        text: str = getattr(sql, name)
        assert connection.execute(f"EXPLAIN {text}", [None] * text.count("?")).fetchall()
    connection.close()
