"""Waking for requests that do not wait."""

from __future__ import annotations

import asyncio

import pytest

from headrace.domain.dedicated import Deployment
from headrace.domain.errors import EngineFailed
from headrace.services.tasks import Tasks
from headrace.services.waking import Waking
from tests.fakes.compute import FakeCompute
from tests.fakes.deployed import a_deployment, spec_of

pytestmark = pytest.mark.anyio
HERE = a_deployment()


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def test_a_deployment_is_woken_once_at_a_time_and_keeps_no_lease() -> None:
    failures: list[str] = []
    compute, tasks = FakeCompute(is_prompt=False), Tasks(lambda name, error: failures.append(name))
    await compute.apply(spec_of(HERE))
    waking = Waking(compute, tasks)
    for _ in range(3):
        waking.wake(HERE)
    await settle()
    standing = compute.standing(HERE.id)
    assert standing is not None
    assert (standing.wanted, standing.waiting) == (1, 1)
    compute.step()
    await settle()
    assert [each.in_flight for each in compute.ready(HERE.id)] == [0]
    assert failures == []
    await tasks.close()


async def test_what_nobody_can_pay_is_not_woken() -> None:
    async def used_up(_: Deployment) -> str | None:
        return "The budget is used up."

    compute, tasks = FakeCompute(), Tasks(lambda name, error: None)
    await compute.apply(spec_of(HERE))
    Waking(compute, tasks, used_up).wake(HERE)
    await settle()
    assert compute.ready(HERE.id) == []
    await tasks.close()


async def test_a_start_that_fails_is_nobodys_failure_and_may_be_tried_again() -> None:
    failures: list[str] = []
    compute, tasks = FakeCompute(), Tasks(lambda name, error: failures.append(name))
    waking = Waking(compute, tasks)
    waking.wake(HERE)
    await settle()
    with pytest.raises(EngineFailed):
        await compute.acquire(HERE.id, 0.0)
    await compute.apply(spec_of(HERE))
    waking.wake(HERE)
    await settle()
    assert len(compute.ready(HERE.id)) == 1
    assert failures == []
    await tasks.close()
