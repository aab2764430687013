"""Several credentials for each provider, told apart by labels; how long a key keeps replies, and which it replaces.

A step is never edited once it was released: what it made is in other people's homes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
CARRY_CREDENTIALS = """
INSERT INTO provider_credential (provider, label, sealed, key_version, set_at_micros)
SELECT provider, 'default', sealed, key_version, set_at_micros FROM provider_credential_before
"""
CARRY_KEYS = """
INSERT INTO access_key (public_id, name, role, account, digest, models, created_at_micros, revoked_at_micros)
SELECT public_id, name, role, account, digest, models, created_at_micros, revoked_at_micros FROM access_key_before
"""


def upgrade() -> None:
    """Apply the step."""
    op.rename_table("provider_credential", "provider_credential_before")
    op.create_table(
        "provider_credential",
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("key_version", NUMBER, nullable=False),
        sa.Column("set_at_micros", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("provider", "label"),
        sqlite_strict=True,
    )
    op.execute(CARRY_CREDENTIALS)
    op.drop_table("provider_credential_before")
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_keys()
    else:
        op.add_column("access_key", sa.Column("cache_seconds", NUMBER))
        op.add_column("access_key", sa.Column("first_id", sa.Text))


def downgrade() -> None:
    """There is no way back but the copy taken before."""
    raise NotImplementedError("restore the copy in HOME/backups")


def _rebuild_keys() -> None:
    """SQLite writes an added column into the text of the last constraint: the table is made anew."""
    op.rename_table("access_key", "access_key_before")
    op.create_table(
        "access_key",
        sa.Column("public_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("models", sa.Text),
        sa.Column("created_at_micros", NUMBER, nullable=False),
        sa.Column("revoked_at_micros", NUMBER),
        sa.Column("cache_seconds", NUMBER),
        sa.Column("first_id", sa.Text),
        sa.CheckConstraint("role IN ('key', 'admin')", name="access_key_role_known"),
        sa.PrimaryKeyConstraint("public_id"),
        sqlite_strict=True,
    )
    op.execute(CARRY_KEYS)
    op.drop_table("access_key_before")
