"""What a step takes over from the schema before it: credentials and keys of homes that are older than their labels."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.drivers.stores.migrations.runner import apply_steps
from headrace.drivers.stores.upgrade import STEPS

BEFORE = """
INSERT INTO provider_credential (provider, sealed, key_version, set_at_micros) VALUES ('acme', x'01', 3, 1000);
INSERT INTO access_key (public_id, name, role, account, digest, models, created_at_micros, revoked_at_micros)
VALUES ('k1', 'web', 'key', 'shop', x'02', '["m"]', 2000, NULL), ('k2', 'old', 'admin', 'operator', x'03', NULL, 1, 2);
"""


@pytest.fixture
def before(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database of the schema before the labels."""
    folder = tmp_path / "steps"
    shutil.copytree(STEPS.folder, folder)
    for step in (folder / "versions").glob("0*.py"):
        if step.name > "0005":
            step.unlink()
    connection = sqlite3.connect(":memory:", isolation_level=None)
    apply_steps(connection, folder)
    yield connection
    connection.close()


def test_credentials_become_the_default_ones_and_keys_have_no_cache(before: sqlite3.Connection) -> None:
    before.executescript(BEFORE)
    apply_steps(before, STEPS.folder)
    credential = "SELECT provider, label, sealed, key_version, set_at_micros FROM provider_credential"
    assert before.execute(credential).fetchall() == [("acme", "default", b"\x01", 3, 1000)]
    key = "SELECT public_id, name, role, account, digest, models, created_at_micros, revoked_at_micros, cache_seconds"
    assert before.execute(f"{key} FROM access_key ORDER BY public_id").fetchall() == [
        ("k1", "web", "key", "shop", b"\x02", '["m"]', 2000, None, None),
        ("k2", "old", "admin", "operator", b"\x03", None, 1, 2, None),
    ]
    left = before.execute("SELECT name FROM sqlite_master WHERE name LIKE '%_before'").fetchall()
    assert left == []
