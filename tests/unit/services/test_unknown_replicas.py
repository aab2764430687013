"""Which drivers are asked to end what nobody knows, and when again."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from headrace.domain.errors import EngineFailed
from headrace.services.tasks import Tasks
from headrace.services.unknown_replicas import RETRY_SECONDS, KnownDeployments, UnknownReplicas, guarded
from headrace.testing.clock import FakeClock
from tests.fakes.reconciled import MemoryDeployments, a_deployment

pytestmark = pytest.mark.anyio


class Driver:
    """Fails as often as told, or waits for an event; `asked` is what it was told to be known."""

    def __init__(self, failures: int = 0, until: asyncio.Event | None = None) -> None:
        self.failures = failures
        self.until = until
        self.asked: list[list[str]] = []

    async def end_unknown(self, known: Collection[str]) -> None:
        if self.until is not None:
            await self.until.wait()
        self.asked.append(list(known))
        if self.failures:
            self.failures -= 1
            raise EngineFailed("not now")


def unknown(clock: FakeClock, deployments: MemoryDeployments, *drivers: Driver) -> UnknownReplicas:
    def defect(name: str, error: BaseException) -> None:
        raise AssertionError(name) from error

    return UnknownReplicas([each.end_unknown for each in drivers], deployments, Tasks(defect), clock)


async def test_each_driver_is_asked_once_and_one_that_cannot_later() -> None:
    clock, well, failing = FakeClock(), Driver(), Driver(failures=1)
    deployments = MemoryDeployments({"dep": a_deployment()})
    service = unknown(clock, deployments, failing, well)
    for _ in range(3):
        await service.end()
    assert (failing.asked, well.asked) == ([["dep"]], [["dep"]])
    clock.advance(RETRY_SECONDS)
    for _ in range(3):
        await service.end()
    assert (len(failing.asked), len(well.asked)) == (2, 1)
    service.look_again()
    await service.end()
    assert (len(failing.asked), len(well.asked)) == (3, 2)


async def test_what_takes_long_is_not_asked_twice_and_what_is_asked_meanwhile_is_not_lost() -> None:
    until = asyncio.Event()
    clock, slow = FakeClock(), Driver(until=until)
    service = unknown(clock, MemoryDeployments(), slow)
    ending = asyncio.get_running_loop().create_task(service.end())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await service.end()
    service.look_again()
    until.set()
    await ending
    assert len(slow.asked) == 1
    await service.end()
    assert len(slow.asked) == 2


async def test_each_driver_has_a_time_of_its_own() -> None:
    clock, later = FakeClock(), Driver(failures=2)

    class Slow(Driver):
        async def end_unknown(self, known: Collection[str]) -> None:
            clock.advance(0.0 if self.asked else 5.0)
            await super().end_unknown(known)

    slow = Slow(failures=2)
    service = unknown(clock, MemoryDeployments(), slow, later)
    await service.end()
    clock.advance(RETRY_SECONDS - 5.0)
    await service.end()
    assert (len(slow.asked), len(later.asked)) == (2, 1)
    clock.advance(5.0)
    await service.end()
    assert (len(slow.asked), len(later.asked)) == (2, 2)


def test_what_is_known_is_what_is_stored_now() -> None:
    deployments = MemoryDeployments()
    known = KnownDeployments(deployments)
    assert (len(known), "dep" in known) == (0, False)
    deployments.add(a_deployment())
    assert (len(known), "dep" in known, list(known)) == (1, True, ["dep"])


async def test_while_there_is_an_objection_nothing_is_ended_and_it_is_asked_for_again() -> None:
    clock, driver, objections = FakeClock(), Driver(), ["it was restored"]
    deployments = MemoryDeployments({"dep": a_deployment()})

    def defect(name: str, error: BaseException) -> None:
        raise AssertionError(name) from error

    ending = guarded(driver.end_unknown, lambda: objections[0] if objections else None)
    service = UnknownReplicas([ending], deployments, Tasks(defect), clock)
    await service.end()
    clock.advance(RETRY_SECONDS)
    await service.end()
    assert driver.asked == []
    objections.clear()
    await service.end()
    assert driver.asked == []
    clock.advance(RETRY_SECONDS)
    await service.end()
    assert driver.asked == [["dep"]]
