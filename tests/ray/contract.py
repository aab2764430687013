"""The contract suite of all compute drivers on a real Ray cluster with the real embedded engine; part of `make ray`."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx2
import psutil
import pytest

from headrace.domain.deployment import DeploymentSpec
from headrace.domain.plan import Endpoint
from headrace.drivers.compute.ray.compute import RayCompute
from headrace.drivers.compute.ray.order import LOG_FOLDER, replica_name
from headrace.ports.fleet import Compute
from tests.contract.compute_contract import ComputeContract, LogContract, ProcessContract
from tests.contract.compute_world import ComputeWorld
from tests.ray.cluster import RayCluster
from tests.ray.worlds import MEMORY_BYTES, driver, engines

OK, TRIES = 200, 3
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]


class HeldStream:
    """A long answer that is being written; its end is waited for."""

    def __init__(self, task: asyncio.Task[int]) -> None:
        self._task = task

    async def finish(self) -> int:
        return await self._task


class RayWorld(ComputeWorld):
    """The driver over two Ray nodes on this machine."""

    seconds = 180.0

    def __init__(self, cluster: RayCluster, weights: Path) -> None:
        super().__init__()
        self.cluster = cluster
        self.weights = weights
        self.callers = httpx2.AsyncClient(trust_env=False, timeout=120)
        self.open: list[RayCompute] = []

    async def make(self) -> RayCompute:
        compute = driver(self.cluster, on_change=self.seen.append)
        await compute.open()
        self.open.append(compute)
        return compute

    async def restart(self, compute: Compute) -> RayCompute:
        await compute.close()
        return await self.make()

    async def end_unknown(self, compute: Compute, known: Collection[str]) -> None:
        assert isinstance(compute, RayCompute)
        await compute.end_unknown(known)

    async def ask(self, endpoint: Endpoint) -> int:
        """Ask as the gateway does: what fails before its first byte is asked again.

        A proxy may give a request to a replica that is going, and answers for it with a 5xx.
        """
        status, begun = 0, asyncio.Event()
        for _ in range(TRIES):
            status = await self._complete(endpoint, 2, begun)
            if status == OK or begun.is_set():
                break
        return status

    async def hold(self, endpoint: Endpoint) -> HeldStream:
        begun, loop = asyncio.Event(), asyncio.get_running_loop()
        answering, beginning = loop.create_task(self._complete(endpoint, 200, begun)), loop.create_task(begun.wait())
        await asyncio.wait({answering, beginning}, return_when=asyncio.FIRST_COMPLETED)
        beginning.cancel()
        return HeldStream(answering)

    async def close(self) -> None:
        for compute in self.open:
            await compute.close()
        last = await self.make()
        await last.end_unknown(())
        await last.close()
        await self.callers.aclose()

    def pids(self, deployment: str) -> set[int]:
        return engines(deployment)

    def kill(self, compute: Compute, replica: str) -> None:
        del compute
        self._signal(replica, signal.SIGKILL)

    def silence(self, compute: Compute, replica: str) -> None:
        del compute
        self._signal(replica, signal.SIGSTOP)

    def spec(self, deployment: str, **changes: int) -> DeploymentSpec:
        found = super().spec(deployment, **changes)
        return replace(
            found, engine="llamacpp", weights=(self.weights,), memory_bytes=MEMORY_BYTES, model_id=deployment
        )

    def _signal(self, replica: str, number: signal.Signals) -> None:
        facts = json.loads((self.cluster.logs / LOG_FOLDER / f"{replica_name(replica)}.json").read_text())
        (engine,) = psutil.Process(facts["pid"]).children()
        engine.send_signal(number)

    async def _complete(self, endpoint: Endpoint, tokens: int, begun: asyncio.Event | None = None) -> int:
        assert endpoint.auth_value is not None
        headers = {"authorization": endpoint.auth_value.reveal()}
        body = {"prompt": "One, two,", "max_tokens": tokens, "stream": True, "ignore_eos": True}
        begun = begun or asyncio.Event()
        request = self.callers.build_request("POST", f"{endpoint.base_url}/v1/completions", headers=headers, json=body)
        text, status = b"", 0
        with suppress(httpx2.HTTPError):
            reply = await self.callers.send(request, stream=True)
            status = reply.status_code
            async for block in reply.aiter_raw():
                text += block
                if status == OK:
                    begun.set()
            await reply.aclose()
        return status if b"[DONE]" in text or status != OK else 0


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with (
        tempfile.TemporaryDirectory(prefix="hr-") as short,
        RayCluster(Path(short) / "r", Path(short), cpus=4) as cluster,
    ):
        yield cluster
        for each in engines("dep-one") | engines("dep-two"):
            with suppress(psutil.Error):
                psutil.Process(each).send_signal(signal.SIGCONT)


@pytest.fixture
async def world(cluster: RayCluster, smollm_path: Path) -> AsyncIterator[ComputeWorld]:
    world = RayWorld(cluster, smollm_path)
    yield world
    await world.close()


class TestRealRayCompute(ComputeContract, ProcessContract, LogContract):
    """The suite of all drivers."""
