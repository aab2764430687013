"""What the ledger's machine found, each as small as it gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.books import Refused
from headrace.domain.errors import Conflict
from tests.contract.ledger_books import START_MICROS, opening, settlement
from tests.contract.ledger_store import HOUR_MICROS, STORES, Store

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

SENT_AT = "SELECT sent_at_micros FROM hold"
RESOLVED = "SELECT sent_at_micros FROM resolution"
ATTEMPT = "att_000001"


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Store]:
    async with STORES[request.param](tmp_path) as store:
        yield store


async def stored(store: Store, statement: str) -> list[tuple[int, ...]]:
    return [tuple(row) for row in await store.database.read(lambda cursor: cursor.execute(statement).fetchall())]


async def test_a_balance_into_which_nothing_was_paid_allows_nothing(store: Store) -> None:
    scopes = ("balance:acme", "platform")
    assert await store.ledger.hold(opening(1, scopes=scopes)) == Refused("balance:acme", 0, 0)


async def test_a_hold_that_was_there_already_does_not_move_its_sums(store: Store) -> None:
    made = opening(1)
    again = replace(made, request=replace(made.request, tags=("other",)), at_micros=made.at_micros - HOUR_MICROS)
    await store.ledger.hold(made)
    await asyncio.gather(store.ledger.hold(again), store.ledger.hold(opening(2)), return_exceptions=True)
    await store.ledger.settle(settlement(ATTEMPT))
    assert await store.audit() == []


async def test_of_two_steps_to_sent_in_one_batch_the_first_counts(store: Store) -> None:
    await store.ledger.hold(opening(1))
    first, second = store.ledger.sent(ATTEMPT, START_MICROS + 1), store.ledger.sent(ATTEMPT, START_MICROS + 2)
    await first
    with pytest.raises(Conflict):
        await second
    assert await stored(store, SENT_AT) == [(START_MICROS + 1,)]


async def test_what_was_sent_before_its_last_batch_cannot_be_sent_again_in_it(store: Store) -> None:
    await store.ledger.hold(opening(1))
    await store.ledger.sent(ATTEMPT, START_MICROS + 1)
    again = store.ledger.sent(ATTEMPT, START_MICROS + 2)
    await asyncio.gather(store.ledger.settle(settlement(ATTEMPT)), store.ledger.hold(opening(2)))
    with pytest.raises(Conflict):
        await again
    assert await stored(store, RESOLVED) == [(START_MICROS + 1,)]
