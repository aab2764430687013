"""The contract of the key, credential and alias stores, run over every driver."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.access import AccessKey, Role
from headrace.domain.alias import Alias
from headrace.domain.errors import Conflict
from headrace.drivers.stores.aliases import SqlAliasStore
from headrace.drivers.stores.credentials import SqlCredentialStore
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.keys import SqlKeyStore
from headrace.ports.stores import AliasStore, CredentialStore, KeyStore, SealedCredential
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import OpenStore

pytestmark = pytest.mark.anyio

WEB = AccessKey("k1", "web", Role.KEY, "operator", b"\x01" * 32, frozenset({"small", "large"}), 1_000)
ROOT = AccessKey("a1", "admin", Role.ADMIN, "operator", b"\x02" * 32, None, 500)


@pytest.fixture
async def database(tmp_path: Path, open_store: OpenStore) -> AsyncGenerator[Database]:
    opened = open_store(tmp_path, FakeClock())
    yield opened
    opened.close()


@pytest.fixture
def keys(database: Database) -> KeyStore:
    return SqlKeyStore(database)


@pytest.fixture
def aliases(database: Database) -> AliasStore:
    return SqlAliasStore(database)


@pytest.fixture
def credentials(database: Database) -> CredentialStore:
    return SqlCredentialStore(database)


async def test_keys_come_back_as_they_were_stored_oldest_first(keys: KeyStore) -> None:
    for key in (WEB, ROOT, replace(WEB, public_id="k0", models=frozenset(), created_at_micros=2_000)):
        await keys.add(key)
    assert await keys.list() == (ROOT, WEB, replace(WEB, public_id="k0", models=frozenset(), created_at_micros=2_000))


async def test_a_public_id_is_taken_once(keys: KeyStore) -> None:
    await keys.add(WEB)
    with pytest.raises(Conflict, match='"k1"'):
        await keys.add(replace(WEB, name="other"))
    assert await keys.list() == (WEB,)


async def test_a_key_is_revoked_once_and_stays_listed(keys: KeyStore) -> None:
    await keys.add(WEB)
    assert await keys.revoke("k1", 3_000)
    assert not await keys.revoke("k1", 4_000)
    assert not await keys.revoke("unknown", 4_000)
    assert await keys.list() == (replace(WEB, revoked_at_micros=3_000),)


async def test_the_name_and_the_cache_of_a_key_change_until_it_is_revoked(keys: KeyStore) -> None:
    await keys.add(replace(WEB, cache_seconds=60))
    assert await keys.list() == (replace(WEB, cache_seconds=60),)
    changed = replace(WEB, name="app", models=None, cache_seconds=None)
    assert await keys.change(changed)
    assert await keys.list() == (replace(WEB, name="app"),)
    assert not await keys.change(replace(WEB, public_id="unknown"))
    await keys.revoke("k1", 3_000)
    assert not await keys.change(WEB)


async def test_a_credential_is_replaced_and_removed(credentials: CredentialStore) -> None:
    first = SealedCredential("openai", b"\x01sealed", 1, 1_000)
    second = replace(first, sealed=b"\x01again", key_version=2, set_at_micros=2_000)
    other = replace(first, provider="acme")
    for credential in (first, other, second):
        await credentials.put(credential)
    assert await credentials.list() == (other, second)
    spare = replace(first, label="spare", sealed=b"\x01spare")
    await credentials.put(spare)
    assert await credentials.list() == (other, second, spare)
    assert await credentials.remove("openai", "default")
    assert not await credentials.remove("openai", "default")
    assert not await credentials.remove("acme", "spare")
    assert await credentials.list() == (other, spare)


async def test_an_alias_is_replaced_keeps_its_beginning_and_is_removed(aliases: AliasStore) -> None:
    first = Alias("daily", "one", ("two", "three"), 1_000, 1_000)
    other = Alias("a/b", "two", (), 1_500, 1_500)
    for alias in (first, other, replace(first, points_to="two", fallbacks=(), changed_at_micros=2_000)):
        await aliases.put(alias)
    assert await aliases.list() == (other, Alias("daily", "two", (), 1_000, 2_000))
    assert await aliases.remove("daily")
    assert not await aliases.remove("daily")
    assert await aliases.list() == (other,)
