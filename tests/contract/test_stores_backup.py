"""Backup and restore of real homes, also of one that a server is writing, and the lock on a home."""

import asyncio
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from headrace.domain.errors import HomeUnusable, StoreUnusable
from headrace.drivers.stores.backup import backup, restore
from headrace.drivers.stores.database import FILE_NAME, open_database
from headrace.drivers.stores.home import open_home
from headrace.drivers.stores.restored import objection_to_ending
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import broken_invariants, new_ledger, open_sqlite_books, opening, settlement

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

HOLDER = """
import sys
from pathlib import Path
from headrace.drivers.stores.home import open_home
home = open_home(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def write_texts(home: Path) -> None:
    for name in ("catalog/providers/own.toml", "headrace.toml", "secrets/pepper", "credentials.json"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(name)


async def used_home(home: Path) -> Path:
    """Make a home with one settled request, a catalog, a configuration and its secrets."""
    write_texts(home)
    async with open_sqlite_books(home) as books:
        await books.ledger.hold(opening(1))
        await books.ledger.settle(settlement("att_000001"))
    return home


async def test_a_restored_home_has_the_books_but_no_secret(tmp_path: Path) -> None:
    home = await used_home(tmp_path / "home")
    made = backup(home, tmp_path / "copy.tgz")
    assert made.files == (FILE_NAME, "catalog/providers/own.toml", "headrace.toml")
    assert "pepper" in made.note
    assert "master key" in made.note
    assert (tmp_path / "copy.tgz").stat().st_mode & 0o077 == 0
    with tarfile.open(tmp_path / "copy.tgz") as archive:
        assert sorted(archive.getnames()) == sorted(made.files)

    put_back = restore(tmp_path / "copy.tgz", tmp_path / "new", FakeClock())
    assert put_back.files == made.files
    assert "HOME/secrets" in put_back.note
    note = (tmp_path / "new" / "RESTORED").read_text()
    assert "copy.tgz" in note
    assert "delete this file" in note
    assert objection_to_ending(home) is None
    assert str(tmp_path / "new" / "RESTORED") in (objection_to_ending(tmp_path / "new") or "")
    assert not (tmp_path / "new" / "secrets").exists()
    assert (tmp_path / "new" / "headrace.toml").read_text() == "headrace.toml"
    async with open_sqlite_books(tmp_path / "new") as books:
        assert (await books.attempt("att_000001")).state == "settled"
        async with books.audit() as broken:
            assert broken == []


async def test_a_backup_of_a_home_in_use_is_consistent(tmp_path: Path) -> None:
    database = open_database(tmp_path, FakeClock())
    ledger = new_ledger(database, FakeClock())

    async def work(numbers: range) -> None:
        for number in numbers:
            await ledger.hold(opening(number))
            await ledger.settle(settlement(f"att_{number:06d}"))

    running = asyncio.gather(*(work(range(first, first + 20)) for first in range(0, 400, 20)))
    await asyncio.to_thread(backup, tmp_path, tmp_path / "copy.tgz")
    await running
    database.close()
    restore(tmp_path / "copy.tgz", tmp_path / "new", FakeClock())
    restored = open_database(tmp_path / "new", FakeClock())
    try:
        report = await new_ledger(restored, FakeClock()).recover()
        assert report.integrity == "ok"
        assert await restored.read(broken_invariants) == []
    finally:
        restored.close()


async def test_a_restore_refuses_a_home_with_books_unless_forced(tmp_path: Path) -> None:
    home = await used_home(tmp_path / "home")
    backup(home, tmp_path / "copy.tgz")
    (home / FILE_NAME).write_bytes(b"damaged")
    (home / f"{FILE_NAME}-wal").write_bytes(b"stale log")
    with pytest.raises(HomeUnusable, match="not empty"):
        restore(tmp_path / "copy.tgz", home, FakeClock(5))
    assert (home / FILE_NAME).read_bytes() == b"damaged"
    restore(tmp_path / "copy.tgz", home, FakeClock(5), force=True)
    aside = home / "backups" / "replaced-5"
    assert (aside / FILE_NAME).read_bytes() == b"damaged"
    assert (aside / f"{FILE_NAME}-wal").read_bytes() == b"stale log"
    assert (home / "secrets" / "pepper").read_text() == "secrets/pepper"
    async with open_sqlite_books(home) as books:
        assert (await books.attempt("att_000001")).state == "settled"


async def test_a_home_in_use_is_not_restored(tmp_path: Path) -> None:
    home = await used_home(tmp_path / "home")
    backup(home, tmp_path / "copy.tgz")
    with open_home(home), pytest.raises(HomeUnusable, match=f"pid {os.getpid()}"):
        restore(tmp_path / "copy.tgz", home, FakeClock(), force=True)


async def test_backups_that_cannot_be_made_say_why(tmp_path: Path) -> None:
    with pytest.raises(HomeUnusable, match="nothing to back up"):
        backup(tmp_path, tmp_path / "copy.tgz")
    home = await used_home(tmp_path / "home")
    (tmp_path / "copy.tgz").write_text("another file")
    with pytest.raises(HomeUnusable, match="exists already"):
        backup(home, tmp_path / "copy.tgz")
    with pytest.raises(HomeUnusable, match=r"cannot be written: No such file or directory\. Name a file in a folder"):
        backup(home, tmp_path / "missing" / "copy.tgz")
    (home / FILE_NAME).write_bytes(b"not a database at all" * 500)
    with pytest.raises(StoreUnusable):
        backup(home, tmp_path / "second.tgz")
    assert not (tmp_path / "second.tgz").exists()


async def test_archives_that_are_no_backup_are_refused_and_foreign_members_ignored(tmp_path: Path) -> None:
    (tmp_path / "text.tgz").write_text("no archive")
    with pytest.raises(StoreUnusable, match=r"cannot be read as a backup: .*that `headrace backup` wrote"):
        restore(tmp_path / "text.tgz", tmp_path / "new", FakeClock())
    home = await used_home(tmp_path / "home")
    with tarfile.open(tmp_path / "evil.tgz", "w:gz") as archive:
        archive.add(home / FILE_NAME, FILE_NAME)
        archive.add(home / "headrace.toml", "../escaped.toml")
        archive.add(home / "secrets" / "pepper", "secrets/pepper")
        archive.add(home / "headrace.toml", "catalog/../../up.toml")
    restore(tmp_path / "evil.tgz", tmp_path / "new", FakeClock())
    assert not (tmp_path / "escaped.toml").exists()
    assert not (tmp_path / "up.toml").exists()
    assert not (tmp_path / "new" / "secrets").exists()
    with tarfile.open(tmp_path / "empty.tgz", "w:gz") as archive:
        archive.add(home / "headrace.toml", "headrace.toml")
    with pytest.raises(StoreUnusable, match="not a Headrace backup"):
        restore(tmp_path / "empty.tgz", tmp_path / "other", FakeClock())


def test_one_process_at_a_time_has_a_home(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(HomeUnusable, match=f"pid {holder.pid}"):
            open_home(tmp_path)
        holder.kill()
        holder.wait()
    with open_home(tmp_path) as home:
        assert home.path == tmp_path


async def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HomeUnusable, match="cannot be written"):
        open_home(tmp_path / "file" / "home")
    with open_home(tmp_path / "fresh") as home:
        assert home.path.stat().st_mode & 0o077 == 0
