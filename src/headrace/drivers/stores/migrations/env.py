"""Alembic's entry: runs the steps on the connection that the caller hands over."""

from __future__ import annotations

from alembic import context

from headrace.drivers.stores.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
