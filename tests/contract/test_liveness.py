"""Whether a replica lives, asked of real sockets; and the makers' tools as real programs."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from headrace.domain.deployment import DeploymentSpec, LaunchPlan
from headrace.domain.plan import Endpoint
from headrace.drivers.compute.devices import Device, VendorTools
from headrace.drivers.compute.liveness import is_alive

SECONDS = 0.3


class Answers:
    """An engine whose probes answer as told; None never answers."""

    name = "answers"

    def __init__(self, is_ready: bool | None, load: Mapping[str, float] | None = None) -> None:
        self._is_ready, self._load = is_ready, load
        self.asked = 0

    def launch(self, spec: DeploymentSpec, replica: str) -> LaunchPlan:
        raise NotImplementedError

    async def ready(self, endpoint: Endpoint) -> bool:
        del endpoint
        self.asked += 1
        if self._is_ready is None:
            await asyncio.Event().wait()
        return bool(self._is_ready)

    async def load(self, endpoint: Endpoint) -> Mapping[str, float]:
        del endpoint
        if self._load is None:
            await asyncio.Event().wait()
        return self._load or {}


@asynccontextmanager
async def listening(reply: bytes | None) -> AsyncGenerator[Endpoint]:
    """A server that gives this reply, or none at all while the connection stays open."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        if reply is None:
            await over.wait()
        else:
            writer.write(reply)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Endpoint(f"http://127.0.0.1:{port}/v1")
    finally:
        over.set()
        server.close()
        await server.wait_closed()


async def test_a_busy_one_needs_only_to_speak() -> None:
    engine = Answers(None)
    async with listening(b"HTTP/1.1 401 Unauthorized\r\n\r\n") as endpoint:
        assert await is_alive(engine, endpoint, is_busy=True, seconds=SECONDS)
    assert engine.asked == 0


@pytest.mark.parametrize("is_ready", [True, False])
async def test_an_idle_one_gives_a_token(is_ready: bool) -> None:
    async with listening(b"HTTP/1.1 200 OK\r\n\r\n") as endpoint:
        assert await is_alive(Answers(is_ready), endpoint, is_busy=False, seconds=SECONDS) is is_ready


@pytest.mark.parametrize(
    ("load", "is_well"), [({"running": 2.0}, True), ({"running": 0.0}, False), ({}, False), (None, False)]
)
async def test_one_that_gives_no_token_must_say_that_it_is_busy(
    load: Mapping[str, float] | None, is_well: bool
) -> None:
    async with listening(b"HTTP/1.1 200 OK\r\n\r\n") as endpoint:
        assert await is_alive(Answers(None, load), endpoint, is_busy=False, seconds=SECONDS) is is_well


@pytest.mark.parametrize("reply", [None, b"", b"garbage"])
async def test_one_that_does_not_speak_is_dead_however_busy(reply: bytes | None) -> None:
    async with listening(reply) as endpoint:
        assert not await is_alive(Answers(True, {"running": 2.0}), endpoint, is_busy=True, seconds=SECONDS)


async def test_one_that_refuses_connections_is_dead() -> None:
    assert not await is_alive(Answers(True), Endpoint("http://127.0.0.1:9/v1"), is_busy=True, seconds=SECONDS)


def tool(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)


async def test_the_makers_tools_are_asked_one_after_the_other(tmp_path: Path) -> None:
    tool(tmp_path, "nvidia-smi", "exit 9")
    tool(
        tmp_path,
        "rocm-smi",
        """echo '{"card3": {"VRAM Total Memory (B)": "2097152", "VRAM Total Used Memory (B)": "0"}}'""",
    )
    assert await VendorTools(str(tmp_path)).look() == (Device(3, 2, 0),)
    tool(
        tmp_path,
        "nvidia-smi",
        '[ "$*" = "--query-gpu=index,memory.total,memory.used --format=csv,noheader,nounits" ] && echo "0, 81559, 4"',
    )
    assert await VendorTools(str(tmp_path)).look() == (Device(0, 81559, 4),)


async def test_a_tool_that_hangs_is_ended(tmp_path: Path) -> None:
    tool(tmp_path, "nvidia-smi", "exec /bin/sleep 60")
    assert await VendorTools(str(tmp_path), 0.2).look() == ()
