"""Toy engines under real supervision: plans, a client of theirs, and waiting for processes, for the compute suites."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from headrace.domain.deployment import DeploymentSpec, LaunchPlan, OwnerLoss
from headrace.domain.plan import Endpoint
from tests.fakes.deployed import a_spec

TOY_ENGINE = Path(__file__).with_name("toy_engine.py")


def plan(replica: str, *options: str, policy: OwnerLoss = OwnerLoss.STOP) -> LaunchPlan:
    argv = (sys.executable, str(TOY_ENGINE), "--port", "{port}", "--secret-file", "{secret_file}", *options)
    return LaunchPlan(replica.rpartition("-")[0], replica, argv, (("TOY", "{port}"),), 1, policy)


def spec(name: str, **changes: int) -> DeploymentSpec:
    return a_spec(id=name, model_id=name, on_owner_loss=OwnerLoss.STOP, **changes)


async def ask(endpoint: Endpoint, path: str = "/", *, secret: str | None = None) -> tuple[int, dict[str, object]]:
    """GET from a toy engine with its secret (or another); raises OSError where nobody listens."""
    port = int(endpoint.base_url.rpartition(":")[2])
    header = secret if secret is not None else endpoint.auth_value.reveal() if endpoint.auth_value else ""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nauthorization: {header}\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
    return (int(head.split()[1]), json.loads(body)) if head else (0, {})


async def answers(endpoint: Endpoint) -> bool:
    try:
        return (await ask(endpoint))[0] == 200
    except OSError:
        return False


async def until_answers(endpoint: Endpoint) -> dict[str, object]:
    """Poll until the toy engine answers and return what it says about itself."""
    async with asyncio.timeout(10):
        while not await answers(endpoint):  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(0.02)
    return (await ask(endpoint))[1]


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


async def eventually(condition: Callable[[], bool], seconds: float) -> float:
    """Poll until the condition holds and return how long it took; raises TimeoutError."""
    started = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(0.02)
    return time.monotonic() - started


class ToyEngine:
    """The Engine port over the toy; `options` are added to each start."""

    name = "toy"

    def __init__(self, *options: str) -> None:
        self.options = options
        self.probes = 0

    def launch(self, spec: DeploymentSpec, replica: str) -> LaunchPlan:
        options = (*self.options, "--slots", str(spec.slots))
        argv = (sys.executable, str(TOY_ENGINE), "--port", "{port}", "--secret-file", "{secret_file}", *options)
        return LaunchPlan(spec.id, replica, argv, (), spec.memory_bytes, spec.on_owner_loss)

    async def ready(self, endpoint: Endpoint) -> bool:
        self.probes += 1
        return await answers(endpoint)

    async def load(self, endpoint: Endpoint) -> Mapping[str, float]:
        del endpoint
        return {}
