"""Usage by the hour, over every driver of the port: settled attempts only, summed by hour, model and provider."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from headrace.domain.books import Opening, Settlement, Timing
from headrace.domain.price import price_lines
from headrace.domain.usage import Usage
from headrace.domain.usage_hour import UsageHour
from headrace.drivers.stores.usage_hours import SqlUsageHours
from headrace.ports.ledger import Ledger
from headrace.ports.usage import UsageHours
from headrace.testing.clock import FakeClock
from tests.contract.ledger_books import PRICE, OpenStore, new_ledger, opening, settlement, void

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

HOUR = 3_600_000_000
START = 1_764_000_000_000_000 // HOUR * HOUR
USED = Usage(700, 90, 5, 6, 40, 10)


@dataclass(frozen=True)
class Books:
    """A ledger and the usage that is read out of it."""

    ledger: Ledger
    usage: UsageHours

    async def serve(self, number: int, begun: int, ended: int, *, model: str = "small", charged: bool = True) -> None:
        """Book one attempt with an id of its time."""
        await self.ledger.hold(self._opening(number, begun, model))
        await self.ledger.settle(self._settled(number, begun, ended, charged=charged))

    async def refuse(self, number: int, begun: int) -> None:
        """Void one attempt."""
        await self.ledger.hold(self._opening(number, begun, "small"))
        await self.ledger.void(replace(void(attempt_id(number, begun)), ended_at_micros=begun + 5))

    async def leave(self, number: int, begun: int) -> None:
        """Leave one attempt open."""
        await self.ledger.hold(self._opening(number, begun, "small"))

    def _opening(self, number: int, begun: int, model: str) -> Opening:
        one = opening(number)
        return replace(
            one,
            attempt_id=attempt_id(number, begun),
            request=replace(one.request, received_at_micros=begun),
            model_id=model,
            at_micros=begun,
        )

    def _settled(self, number: int, begun: int, ended: int, *, charged: bool) -> Settlement:
        lines = price_lines(USED, PRICE, 0, charged=charged)
        return replace(settlement(attempt_id(number, begun), USED), lines=lines, timing=Timing(begun + 1, ended))


OpenUsage = Callable[[Path], AbstractAsyncContextManager[Books]]


@pytest.fixture
def open_usage(open_store: OpenStore) -> OpenUsage:
    @asynccontextmanager
    async def opened(home: Path) -> AsyncGenerator[Books]:
        clock = FakeClock(START)
        database = open_store(home, clock)
        try:
            yield Books(new_ledger(database, clock), SqlUsageHours(database))
        finally:
            database.close()

    return opened


def attempt_id(number: int, begun: int) -> str:
    return f"att_{begun // 1_000:012x}{number:020x}"


def cost_of(requests: int) -> int:
    return requests * sum(each.cost_nano for each in price_lines(USED, PRICE, 0))


def an_hour(start: int, requests: int, busy: int, *, model: str = "small", charged: int | None = None) -> UsageHour:
    return UsageHour(
        hour_start_micros=start,
        model_id=model,
        provider="acme",
        requests=requests,
        input_fresh=700 * requests,
        input_cache_read=90 * requests,
        input_cache_write=11 * requests,
        output_text=40 * requests,
        output_reasoning=10 * requests,
        cost_nano=cost_of(requests),
        charge_nano=cost_of(requests if charged is None else charged),
        busy_micros=busy,
    )


async def test_settled_attempts_are_summed_by_the_hour_in_which_they_ended(
    open_usage: OpenUsage, tmp_path: Path
) -> None:
    async with open_usage(tmp_path) as books:
        await books.serve(1, START + 10, START + 30)
        await books.serve(2, START + 20, START + HOUR - 1)
        await books.serve(3, START + HOUR - 10, START + HOUR)
        await books.serve(4, START + 2 * HOUR, START + 2 * HOUR + 7)
        found = await books.usage.hours(START, START + 3 * HOUR, None)
    assert found == (
        an_hour(START, 2, 20 + HOUR - 21),
        an_hour(START + HOUR, 1, 10),
        an_hour(START + 2 * HOUR, 1, 7),
    )


async def test_what_is_open_or_void_is_no_usage(open_usage: OpenUsage, tmp_path: Path) -> None:
    async with open_usage(tmp_path) as books:
        await books.refuse(1, START + 10)
        await books.leave(2, START + 20)
        await books.serve(3, START + 30, START + 40)
        assert await books.usage.hours(START, START + HOUR, None) == (an_hour(START, 1, 10),)


async def test_the_end_of_the_range_is_not_in_it_and_its_beginning_is(open_usage: OpenUsage, tmp_path: Path) -> None:
    async with open_usage(tmp_path) as books:
        await books.serve(1, START - 5, START)
        await books.serve(2, START + HOUR - 5, START + HOUR)
        assert [each.hour_start_micros for each in await books.usage.hours(START, START + HOUR, None)] == [START]
        assert await books.usage.hours(START + 2 * HOUR, START + 3 * HOUR, None) == ()


async def test_models_are_apart_and_one_can_be_asked_for(open_usage: OpenUsage, tmp_path: Path) -> None:
    async with open_usage(tmp_path) as books:
        await books.serve(1, START + 10, START + 20)
        await books.serve(2, START + 10, START + 20, model="large")
        assert await books.usage.hours(START, START + HOUR, None) == (
            an_hour(START, 1, 10, model="large"),
            an_hour(START, 1, 10),
        )
        assert await books.usage.hours(START, START + HOUR, "small") == (an_hour(START, 1, 10),)
        assert await books.usage.hours(START, START + HOUR, "none") == ()


async def test_cost_and_charge_are_apart(open_usage: OpenUsage, tmp_path: Path) -> None:
    async with open_usage(tmp_path) as books:
        await books.serve(1, START + 10, START + 20)
        await books.serve(2, START + 10, START + 20, charged=False)
        assert await books.usage.hours(START, START + HOUR, None) == (an_hour(START, 2, 20, charged=1),)
