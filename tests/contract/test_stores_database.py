"""Opening, migrating and refusing databases, as files on a real disk."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.domain.errors import HomeUnusable, StoreUnusable
from headrace.drivers.stores.database import FILE_NAME, FileDatabase, open_database
from headrace.drivers.stores.sqlite import connect_writer
from headrace.drivers.stores.upgrade import STEPS, Steps, ensure_schema, stored_revision
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import new_ledger, opening, settlement

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

SECOND_STEP = '''
"""A step of the future."""
import sqlalchemy as sa
from alembic import op
revision, down_revision = "future", "{newest}"
def upgrade() -> None:
    with op.batch_alter_table("access_key") as table:
        table.add_column(sa.Column("team", sa.Text, nullable=True))
    {more}
'''


def opened(home: Path) -> FileDatabase:
    home.mkdir(exist_ok=True)
    return open_database(home, FakeClock())


async def filled_home(home: Path) -> Path:
    """Make a database with one settled request and return its path."""
    database = opened(home)
    ledger = new_ledger(database, FakeClock())
    await ledger.hold(opening(1))
    await ledger.settle(settlement("att_000001"))
    database.close()
    return home / FILE_NAME


def steps_with_a_second(folder: Path, more: str = "pass") -> Steps:
    shutil.copytree(STEPS.folder, folder)
    (folder / "versions" / "future.py").write_text(SECOND_STEP.format(more=more, newest=STEPS.newest))
    return Steps((*STEPS.revisions, "future"), folder)


def columns(path: Path, table: str) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    finally:
        connection.close()


async def test_a_new_database_is_sound_private_and_fully_synchronous(tmp_path: Path) -> None:
    database = opened(tmp_path)
    try:
        assert database.soundness.text == "ok"
        assert database.writer.synchronous == "full"
        assert database.path.stat().st_mode & 0o077 == 0
        mode = await database.read(lambda cursor: cursor.execute("PRAGMA journal_mode").fetchone())
        assert mode == ("wal",)
    finally:
        database.close()


async def test_each_opening_is_an_epoch(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.close()
    second = opened(tmp_path)
    try:
        rows = await second.read(lambda cursor: cursor.execute("SELECT epoch, ended_at_micros FROM epoch").fetchall())
    finally:
        second.close()
    assert first.epoch != second.epoch
    assert [(epoch, ended is None) for epoch, ended in rows] == [(first.epoch, False), (second.epoch, True)]


def test_a_start_with_a_current_schema_imports_no_sqlalchemy(tmp_path: Path) -> None:
    opened(tmp_path).close()
    code = (
        "import sys; from pathlib import Path\n"
        "from headrace.testing.clock import FakeClock\n"
        "from headrace.drivers.stores.database import open_database\n"
        f"open_database(Path({str(tmp_path)!r}), FakeClock()).close()\n"
        "print(sorted({'sqlalchemy', 'alembic'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("damage", ["header", "middle"])
async def test_a_damaged_file_is_refused_by_name_with_what_to_do(tmp_path: Path, damage: str) -> None:
    path = await filled_home(tmp_path)
    content = bytearray(path.read_bytes())
    place = slice(0, 64) if damage == "header" else slice(4096, 4096 * 12)
    content[place] = b"\xa5" * (place.stop - place.start)
    path.write_bytes(content)
    with pytest.raises(StoreUnusable) as failure:
        opened(tmp_path)
    assert str(path) in failure.value.message
    assert "headrace restore" in failure.value.message
    assert path.read_bytes() == bytes(content)


async def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / FILE_NAME)
    other.execute("CREATE TABLE recipes (name)")
    other.close()
    with pytest.raises(StoreUnusable, match="not a Headrace database"):
        opened(tmp_path)


async def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(StoreUnusable, match="owner, its permissions"):
        opened(tmp_path)


async def test_a_newer_database_is_refused_naming_who_wrote_it(tmp_path: Path) -> None:
    path = await filled_home(tmp_path)
    newer = sqlite3.connect(path)
    newer.execute("UPDATE alembic_version SET version_num = '0999'")
    newer.execute("UPDATE installation SET value = '7.1.0' WHERE name = 'written_by'")
    newer.commit()
    newer.close()
    with pytest.raises(HomeUnusable, match=r"Headrace 7\.1\.0 \(schema 0999\)"):
        opened(tmp_path)
    assert not (tmp_path / "backups").exists()


async def test_a_migration_keeps_the_data_and_takes_a_copy_first(tmp_path: Path) -> None:
    path = await filled_home(tmp_path / "home")
    connection = connect_writer(path)
    ensure_schema(connection, path, 77, steps_with_a_second(tmp_path / "steps"))
    assert stored_revision(connection) == "future"
    assert connection.execute("SELECT count(*) FROM settled_line").fetchone() == (2,)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    connection.close()
    assert "team" in columns(path, "access_key")
    copy = path.parent / "backups" / f"headrace-{STEPS.newest}-77.db"
    assert "team" not in columns(copy, "access_key")
    assert copy.stat().st_mode & 0o077 == 0


async def test_a_failing_migration_changes_nothing(tmp_path: Path) -> None:
    path = await filled_home(tmp_path / "home")
    before = path.read_bytes()
    connection = connect_writer(path)
    with pytest.raises(StoreUnusable, match="no such table"):
        ensure_schema(connection, path, 77, steps_with_a_second(tmp_path / "steps", "op.execute('DROP TABLE missing')"))
    assert stored_revision(connection) == STEPS.newest
    connection.close()
    assert path.read_bytes() == before
    opened(path.parent).close()
