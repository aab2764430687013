"""The contract of the outcomes that are kept for repeated requests, run over every driver."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.errors import StoreUnusable
from headrace.drivers.secrets.home_keys import open_home_keys
from headrace.drivers.secrets.sealing import SealedSecrets
from headrace.drivers.stores.database import Database
from headrace.drivers.stores.outcomes import OFF_LOOP_BYTES, SqlOutcomes
from headrace.ports.outcomes import Asked, Different, Fresh, Lost, Outcomes, Running, Stored
from headrace.testing.clock import FakeClock, FakeRandom
from tests.contract.ledger_books import OpenStore

pytestmark = pytest.mark.anyio
ASKED = Asked("key_1", "/v1/x", "a" * 64, "b" * 64, "req_1")
REPEAT = replace(ASKED, request_id="req_2")


class Home:
    """One installation that can be closed and opened again."""

    def __init__(self, path: Path, open_store: OpenStore) -> None:
        self.path = path
        self.open_store = open_store
        self.clock = FakeClock()
        self.later = self.clock.unix_micros() + 1_000_000
        self.database, self.outcomes = self.open()

    def open(self) -> tuple[Database, Outcomes]:
        random = FakeRandom()
        database = self.open_store(self.path, self.clock)
        return database, SqlOutcomes(database, SealedSecrets(open_home_keys(self.path, random), random), self.clock)

    def reopen(self) -> None:
        self.database.close()
        self.database, self.outcomes = self.open()


@pytest.fixture
async def home(tmp_path: Path, open_store: OpenStore) -> AsyncGenerator[Home]:
    home = Home(tmp_path, open_store)
    yield home
    home.database.close()


async def test_a_request_is_fresh_once_then_running_then_stored(home: Home) -> None:
    assert await home.outcomes.begin(ASKED, home.later) == Fresh()
    assert await home.outcomes.begin(REPEAT, home.later) == Running("req_1")
    await home.outcomes.finish(ASKED, b"what was sent")
    assert await home.outcomes.begin(REPEAT, home.later) == Stored("req_1", b"what was sent")
    home.reopen()
    assert await home.outcomes.begin(REPEAT, home.later) == Stored("req_1", b"what was sent")


async def test_of_many_at_once_one_is_fresh(home: Home) -> None:
    asked = [replace(ASKED, request_id=f"req_{number}") for number in range(100)]
    told = await asyncio.gather(*(home.outcomes.begin(each, home.later) for each in asked))
    assert told.count(Fresh()) == 1
    assert sum(isinstance(each, Running) for each in told) == 99


async def test_another_body_is_told(home: Home) -> None:
    await home.outcomes.begin(ASKED, home.later)
    other = replace(REPEAT, digest="c" * 64)
    assert await home.outcomes.begin(other, home.later) == Different("req_1")
    await home.outcomes.finish(ASKED, b"x")
    assert await home.outcomes.begin(other, home.later) == Different("req_1")


@pytest.mark.parametrize("change", [{"owner": "key_2"}, {"route": "/v1/y"}, {"name": "d" * 64}])
async def test_another_place_is_another_request(home: Home, change: dict[str, str]) -> None:
    await home.outcomes.begin(ASKED, home.later)
    assert await home.outcomes.begin(replace(REPEAT, **change), home.later) == Fresh()


async def test_an_abandoned_request_is_fresh_again_and_a_finished_one_is_not_abandoned(home: Home) -> None:
    await home.outcomes.begin(ASKED, home.later)
    await home.outcomes.abandon(ASKED)
    assert await home.outcomes.begin(REPEAT, home.later) == Fresh()
    await home.outcomes.abandon(ASKED)
    assert await home.outcomes.begin(ASKED, home.later) == Running("req_2")
    await home.outcomes.finish(REPEAT, b"x")
    await home.outcomes.abandon(REPEAT)
    assert await home.outcomes.begin(ASKED, home.later) == Stored("req_2", b"x")


async def test_what_cannot_be_kept_or_died_is_lost(home: Home) -> None:
    other = replace(ASKED, name="e" * 64)
    await home.outcomes.begin(ASKED, home.later)
    await home.outcomes.finish(ASKED, None)
    await home.outcomes.begin(other, home.later)
    assert await home.outcomes.begin(REPEAT, home.later) == Lost("req_1")
    home.reopen()
    assert await home.outcomes.begin(other, home.later) == Lost("req_1")


async def test_what_has_expired_is_fresh_and_swept(home: Home) -> None:
    many = [replace(ASKED, name=f"{number:064}") for number in range(501)]
    await asyncio.gather(*(home.outcomes.begin(each, home.later) for each in many))
    assert await home.outcomes.sweep() == 0
    home.clock.advance(2)
    assert await home.outcomes.begin(replace(many[0], request_id="req_9"), home.later + 9_000_000) == Fresh()
    assert await home.outcomes.sweep() == 500
    assert await home.outcomes.begin(many[0], home.later) == Running("req_9")


@pytest.mark.parametrize("size", [10, OFF_LOOP_BYTES + 1])
async def test_what_is_kept_is_sealed_to_its_place(home: Home, size: int) -> None:
    secret = b"nobody may read this " * (size // 20 + 1)
    await home.outcomes.begin(ASKED, home.later)
    await home.outcomes.finish(ASKED, secret)
    assert await home.outcomes.begin(REPEAT, home.later) == Stored("req_1", secret)
    (sealed,) = await home.database.read(lambda cursor: cursor.execute("SELECT sealed FROM outcome").fetchone())
    assert secret not in sealed
    await home.database.write(lambda cursor: cursor.execute("UPDATE outcome SET name = ?", ("f" * 64,)).rowcount)
    with pytest.raises(StoreUnusable):
        await home.outcomes.begin(replace(REPEAT, name="f" * 64), home.later)
