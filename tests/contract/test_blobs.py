"""The contract of the blobs, run over memory and the real store; the real one seals."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from headrace.domain.errors import StoreUnusable
from headrace.drivers.secrets.home_keys import open_home_keys
from headrace.drivers.secrets.sealing import SealedSecrets
from headrace.drivers.stores.blobs import OFF_LOOP_BYTES, SWEPT_AT_ONCE, SqlBlobs
from headrace.drivers.stores.database import Database
from headrace.ports.stores import Blobs
from headrace.testing.clock import FakeClock, FakeRandom
from tests.contract.ledger_books import OpenStore
from tests.fakes.blobs import MemoryBlobs

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def database(tmp_path: Path, clock: FakeClock, open_store: OpenStore) -> AsyncGenerator[Database]:
    opened = open_store(tmp_path, clock)
    yield opened
    opened.close()


@pytest.fixture
def sealed(tmp_path: Path, database: Database, clock: FakeClock) -> SqlBlobs:
    return SqlBlobs(database, SealedSecrets(open_home_keys(tmp_path, FakeRandom()), FakeRandom()), clock)


@pytest.fixture(params=["memory", "sqlite"])
def blobs(request: pytest.FixtureRequest, clock: FakeClock, sealed: SqlBlobs) -> Blobs:
    return MemoryBlobs(clock) if request.param == "memory" else sealed


async def test_a_blob_comes_back_to_its_owner_until_it_expires(blobs: Blobs, clock: FakeClock) -> None:
    soon = clock.unix_micros() + 10_000_000
    for content in (b"one", b"two", b"", b"x" * (OFF_LOOP_BYTES + 1)):
        await blobs.put("key1", "response", "r1", content, soon)
        assert await blobs.get("key1", "response", "r1") == content
    for owner, kind, name in (("key2", "response", "r1"), ("key1", "item", "r1"), ("key1", "response", "r2")):
        assert await blobs.get(owner, kind, name) is None
        assert not await blobs.delete(owner, kind, name)
    clock.advance(10)
    assert await blobs.get("key1", "response", "r1") is None
    assert not await blobs.delete("key1", "response", "r1")


async def test_a_blob_is_deleted_once(blobs: Blobs, clock: FakeClock) -> None:
    await blobs.put("key1", "response", "r1", b"one", clock.unix_micros() + 1)
    assert await blobs.delete("key1", "response", "r1")
    assert not await blobs.delete("key1", "response", "r1")
    assert await blobs.get("key1", "response", "r1") is None


async def test_the_sweep_forgets_what_has_expired_and_nothing_else(blobs: Blobs, clock: FakeClock) -> None:
    now = clock.unix_micros()
    for count in range(SWEPT_AT_ONCE + 3):
        await blobs.put("key1", "response", f"r{count}", b"x", now + 1_000_000)
    await blobs.put("key1", "response", "later", b"x", now + 2_000_001)
    assert await blobs.sweep() == 0
    clock.advance(2)
    assert await blobs.sweep() == SWEPT_AT_ONCE + 3
    assert await blobs.get("key1", "response", "later") == b"x"


async def test_a_blob_lies_sealed_and_opens_only_where_it_was_put(
    sealed: SqlBlobs, database: Database, clock: FakeClock
) -> None:
    soon = clock.unix_micros() + 10_000_000
    await sealed.put("key1", "response", "r1", b"a secret word", soon)
    [row] = await database.read(lambda cursor: cursor.execute("SELECT sealed FROM blob").fetchall())
    assert b"secret" not in row[0]
    await database.write(lambda cursor: cursor.execute("UPDATE blob SET owner = 'key2'").rowcount)
    with pytest.raises(StoreUnusable):
        await sealed.get("key2", "response", "r1")
