"""The cloud driver against a real second server in the cloud's place, with real replicas of a real model behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from headrace.domain.dedicated import Wanted
from headrace.domain.deployment import DeploymentSpec
from headrace.domain.plan import Endpoint
from headrace.drivers.ambient import SystemClock
from headrace.drivers.compute.cloud.client import CloudAccess, CloudClient
from headrace.drivers.compute.cloud.compute import CloudCompute
from headrace.drivers.compute.cloud.notes import CloudNotes
from headrace.drivers.compute.cloud.parts import CloudParts, CloudPolicy
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.deployed import a_deployment, spec_of
from tests.running import RunningHeadrace

pytestmark = pytest.mark.anyio

ID, MODEL = "dep-one", "smollm2-135m"
PATH = "/v2/dedicated-inferences"
SECONDS = 60.0
SECOND_MICROS = 1_000_000
POLICY = CloudPolicy(busy_seconds=0.3, poll_seconds=1.0, remove_seconds=SECONDS)


def spec() -> DeploymentSpec:
    """What a reconciler makes of a deployment that its operator wants at a cloud."""
    wanted = Wanted(
        name="prod",
        model=MODEL,
        driver="cloud",
        engine="llamacpp",
        accelerator="cpu",
        gpus=0,
        min_scale=0,
        max_scale=2,
        slots=2,
        context_length=1024,
        asked_accelerator="cpu",
    )
    return spec_of(a_deployment(wanted, ID), memory_bytes=0, source=MODEL, accelerator="cpu")


@pytest.fixture
def cloud(tmp_path: Path, weights_cache: Path, smollm_path: Path) -> Iterator[RunningHeadrace]:
    """The other server."""
    running = RunningHeadrace(tmp_path / "home")
    running.take_weights(weights_cache)
    with running:
        yield running


@pytest.fixture
async def drivers(cloud: RunningHeadrace, tmp_path: Path) -> AsyncIterator[Callable[[], CloudCompute]]:
    """Makes drivers of one installation, one control plane after the other; at the end nothing is left."""
    token_file = tmp_path / "token"
    token_file.write_text(cloud.admin_token)
    clock = SystemClock()
    blobs = MemoryBlobs(clock)
    made: list[CloudCompute] = []

    def make() -> CloudCompute:
        client = CloudClient(CloudAccess(cloud.base_url, token_file), clock)
        made.append(CloudCompute(CloudParts(client, CloudNotes(blobs), clock, POLICY), "home1"))
        return made[-1]

    yield make
    for each in made[:-1]:
        await each.close()
    await made[-1].remove(ID)
    await made[-1].close()


async def until(condition: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - another server has no event
            await asyncio.sleep(0.1)
    assert condition(), what


def pids_of(cloud: RunningHeadrace) -> list[int]:
    """The processes of all replicas of the one deployment, as the other server knows them."""
    with cloud.client(cloud.admin_token) as client:
        (found,) = client.get(PATH).json()["dedicated_inferences"]
        accelerators: list[dict[str, Any]] = client.get(f"{PATH}/{found['id']}/accelerators").json()["accelerators"]
    return [each["pid"] for each in accelerators if each["pid"] is not None]


async def chat(endpoint: Endpoint) -> httpx2.Response:
    assert endpoint.auth_value is not None
    async with httpx2.AsyncClient(timeout=SECONDS, trust_env=False) as client:
        return await client.post(
            f"{endpoint.base_url}/chat/completions",
            headers={str(endpoint.auth_header): endpoint.auth_value.reveal()},
            json={"model": MODEL, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8},
        )


async def test_up_taken_over_scaled_and_down(cloud: RunningHeadrace, drivers: Callable[[], CloudCompute]) -> None:
    first = drivers()
    await first.open()
    await first.apply(spec())
    lease = await first.acquire(ID, SECONDS)
    answer = await chat(lease.endpoint)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"]
    lease.release()
    before = first.observe()
    await first.close()

    second = drivers()
    await second.open()
    await second.apply(spec())
    await until(lambda: len(second.ready(ID)) == 1, "the replica is taken over")
    [was], [found] = before, second.observe()
    assert (found.id, found.ready_at_micros) == (was.id, was.ready_at_micros)
    # The other server tells its own time at first, and from then on the operating system's.
    assert abs(found.started_at_micros - was.started_at_micros) < SECOND_MICROS
    await second.scale(ID, 2)
    await until(lambda: len(second.ready(ID)) == 2, "a second replica is ready")
    assert was.id in {each.id for each in second.ready(ID)}
    lease = await second.acquire(ID, SECONDS)
    assert (await chat(lease.endpoint)).status_code == 200
    lease.release()

    pids = pids_of(cloud)
    assert len(pids) == 2
    await second.scale(ID, 0)
    await until(lambda: second.observe() == [], "no replica is left")
    await until(lambda: not any(psutil.pid_exists(each) for each in pids), "no process is left")
    with cloud.client(cloud.admin_token) as client:
        await until(lambda: client.get(PATH).json()["dedicated_inferences"] == [], "the cloud has forgotten it")
