"""The verbs of this machine when its books are in PostgreSQL: they look there, or say what to use instead."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from headrace.app.local_verbs import InstalledVerbs
from headrace.domain.errors import ConfigInvalid, StoreUnusable
from headrace.domain.secret import Secret
from headrace.drivers.stores.database import FILE_NAME, open_database
from headrace.testing.clock import FakeClock
from tests.postgres_server import postgres_server

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that has been on SQLite and is told to be on PostgreSQL."""
    with closing(open_database(tmp_path, FakeClock())):
        pass
    monkeypatch.setenv("HEADRACE_STORE", postgres_server().migrated())
    return tmp_path


def test_init_makes_its_keys_in_the_database(home: Path) -> None:
    (home / FILE_NAME).unlink()
    assert InstalledVerbs().init(home, "http://127.0.0.1:8080").created
    assert not (home / FILE_NAME).exists()
    assert InstalledVerbs().audit(home, lambda _: None).agrees
    InstalledVerbs().rebuild_usage(home)


def test_the_doctor_looks_into_the_database(home: Path) -> None:
    store = next(each for each in InstalledVerbs().doctor(home) if each.name == "store")
    assert (store.ok, store.fix) == (False, "See docs/postgresql.md.")
    assert "fsync, full_page_writes is off on the server" in store.message


def test_the_old_file_is_neither_copied_nor_replaced(home: Path) -> None:
    with pytest.raises(ConfigInvalid, match="pg_dump"):
        InstalledVerbs().backup(home, home / "copy")
    with pytest.raises(ConfigInvalid, match="pg_restore"):
        InstalledVerbs().restore(home / "copy", home, force=True)


def test_the_file_may_name_the_store(tmp_path: Path) -> None:
    address = postgres_server().migrated()
    (tmp_path / "headrace.toml").write_text('[server]\nstore = "store.address"\n')
    (tmp_path / "store.address").write_text(f"{address}\n")
    assert InstalledVerbs().audit(tmp_path, lambda _: None).agrees


def test_books_are_moved_by_the_verb(home: Path) -> None:
    moved = InstalledVerbs().migrate(home, Secret(postgres_server().empty()), lambda _: None)
    assert moved.source == str(home / FILE_NAME)


def test_without_the_address_the_verbs_say_that_the_books_were_moved(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = postgres_server().empty()
    where = InstalledVerbs().migrate(home, Secret(address), lambda _: None).target
    monkeypatch.delenv("HEADRACE_STORE")
    store = next(each for each in InstalledVerbs().doctor(home) if each.name == "store")
    assert not store.ok and f"the books were moved to {where}; what is in the home's file is old" in store.message
    assert "HEADRACE_STORE" in store.fix
    with pytest.raises(StoreUnusable, match="this would be no backup of them") as caught:
        InstalledVerbs().backup(home, home / "copy.tar.gz")
    assert where in caught.value.message and "pg_dump" in caught.value.message
    assert not (home / "copy.tar.gz").exists()
    monkeypatch.setenv("HEADRACE_STORE", address)
    there = next(each for each in InstalledVerbs().doctor(home) if each.name == "store")
    assert where in there.message or "off on the server" in there.message
