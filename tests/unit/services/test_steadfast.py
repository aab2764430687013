"""A ledger that does not forget a closing: not when the store is away, and not when its caller is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from headrace.domain.books import (
    Bound,
    Held,
    Opening,
    Progress,
    RecoveryReport,
    Refused,
    RequestStart,
    Settlement,
    Timing,
    Void,
)
from headrace.domain.errors import Conflict, MeteringUnavailable
from headrace.domain.price import Line
from headrace.domain.usage import Usage
from headrace.services.steadfast import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, SteadfastLedger
from headrace.services.tasks import Tasks
from tests.fakes.nouns import a_target

pytestmark = pytest.mark.anyio

REQUEST = RequestStart("req_1", "chat", "default", "key_1", "web", "one", stream=False, received_at_micros=1)
OPENING = Opening(
    "att_1", REQUEST, 0, 0, "one", "acme", None, "id", a_target().price, Bound(1, 1, 1, 1), ("platform",), 7
)
SETTLEMENT = Settlement("att_1", Usage(), (), "complete", Timing(None, 9))
VOID = Void("att_1", "upstream_unreachable", 9)

Step: TypeAlias = Callable[[SteadfastLedger], Awaitable[object]]
STEPS: tuple[tuple[Step, Settlement | Void], ...] = (
    (lambda ledger: ledger.settle(SETTLEMENT), SETTLEMENT),
    (lambda ledger: ledger.void(VOID), VOID),
    (lambda ledger: ledger.hold(OPENING), Void("att_1", "abandoned", 7)),
)


class Store:
    """A ledger whose writes fail so often; one that waits is answered by nobody until it is cancelled."""

    def __init__(self, fails: int = 0, *, waits: bool = False) -> None:
        self.fails = fails
        self.waits = waits
        self.asked = asyncio.Event()
        self.closings: list[Settlement | Void] = []
        self.is_ended = False

    async def hold(self, opening: Opening) -> Held | Refused:
        await self._write()
        return Held(opening.attempt_id)

    def sent(self, attempt_id: str, at_micros: int) -> Awaitable[None]:
        raise NotImplementedError

    def checkpoint(self, attempt_id: str, progress: Progress) -> None:
        raise NotImplementedError

    async def settle(self, settlement: Settlement) -> None:
        await self._write()
        self.closings.append(settlement)

    async def void(self, void: Void) -> None:
        await self._write()
        self.closings.append(void)

    async def recover(self) -> RecoveryReport:
        raise NotImplementedError

    async def _write(self) -> None:
        self.asked.set()
        if self.waits:
            self.waits = False
            await asyncio.Event().wait()
        if self.is_ended:
            raise Conflict("ended")
        if self.fails:
            self.fails -= 1
            raise MeteringUnavailable("away")


class NotedTasks(Tasks):
    """Tasks that can be waited for."""

    def __init__(self, on_failure: Callable[[str, BaseException], None]) -> None:
        super().__init__(on_failure)
        self.started: list[asyncio.Task[None]] = []

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = super().start(name, work)
        self.started.append(task)
        return task


class World:
    """The ledger around a store, with its tasks and how long they wait."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.failures: list[BaseException] = []
        self.tasks = NotedTasks(lambda _, error: self.failures.append(error))
        self.waits: list[float] = []
        self.ledger = SteadfastLedger(store, self.tasks, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)

    async def booked(self) -> list[Settlement | Void]:
        """Return what was closed when nothing waits any more."""
        await asyncio.gather(*self.tasks.started)
        assert (self.ledger.waiting, self.failures) == (0, [])
        return self.store.closings

    async def cancelled(self, step: Awaitable[object]) -> None:
        """Cancel a step while the store has not answered."""
        waiting = asyncio.ensure_future(step)  # noqa: TID251 - cancelled on purpose
        await self.store.asked.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_settlement_that_failed_is_told_and_booked_later() -> None:
    world = World(Store(fails=9))
    with pytest.raises(MeteringUnavailable):
        await world.ledger.settle(SETTLEMENT)
    assert await world.booked() == [SETTLEMENT.withheld()]
    assert (world.waits[0], world.waits[-1]) == (FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)


async def test_a_void_that_failed_is_booked_later_and_nobody_is_told() -> None:
    world = World(Store(fails=2))
    await world.ledger.void(VOID)
    assert await world.booked() == [VOID]


@pytest.mark.parametrize("fails", [0, 2])
@pytest.mark.parametrize(("step", "closing"), STEPS)
async def test_who_is_cancelled_leaves_no_hold_open_whatever_the_store_did(
    step: Step, closing: Settlement | Void, fails: int
) -> None:
    world = World(Store(fails, waits=True))
    await world.cancelled(step(world.ledger))
    assert await world.booked() == [closing]


async def test_what_was_booked_though_its_caller_was_cancelled_is_not_booked_twice() -> None:
    world = World(Store(waits=True))
    await world.cancelled(world.ledger.settle(SETTLEMENT))
    world.store.is_ended = True
    assert await world.booked() == []


async def test_a_hold_that_failed_is_not_repeated() -> None:
    world = World(Store(fails=1))
    with pytest.raises(MeteringUnavailable):
        await world.ledger.hold(OPENING)
    assert (await world.booked(), world.waits) == ([], [])


@pytest.mark.parametrize(("delivered", "charge"), [(0, 0), (7, 12)])
async def test_an_answer_that_is_withheld_because_the_store_is_away_is_not_charged(delivered: int, charge: int) -> None:
    line = Line("output_text", 3, 4_000, cost_nano=12, charge_nano=12)
    settlement = replace(SETTLEMENT, lines=(line,), delivered_bytes=delivered, request_status=200)
    world = World(Store(fails=1))
    with pytest.raises(MeteringUnavailable):
        await world.ledger.settle(settlement)
    [booked] = await world.booked()
    assert isinstance(booked, Settlement)
    assert booked.lines == (replace(line, charge_nano=charge),)
    assert booked.request_status == (200 if delivered else 503)
    assert booked.ending == ("complete" if delivered else "metering_unavailable")
