"""Whether a replica lives, asked of real sockets; and the makers' tools as real programs."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from headrace.domain.deployment import DeploymentSpec, LaunchPlan
from headrace.domain.plan import Endpoint
from headrace.drivers.compute.devices import Device, VendorTools
from headrace.drivers.compute.liveness import Sign, sign_of_life, speaks

SECONDS = 0.3


class Answers:
    """An engine whose probes answer as told; None never answers."""

    name = "answers"

    def __init__(self, is_ready: bool | None, load: Mapping[str, float] | None = None) -> None:
        self._is_ready, self._load = is_ready, load

    def launch(self, spec: DeploymentSpec, replica: str) -> LaunchPlan:
        raise NotImplementedError

    async def ready(self, endpoint: Endpoint) -> bool:
        del endpoint
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


@pytest.mark.parametrize(
    ("reply", "is_heard"),
    [(b"HTTP/1.1 401 Unauthorized\r\n\r\n", True), (None, False), (b"", False), (b"garbage", False)],
)
async def test_any_reply_to_http_is_speech(reply: bytes | None, is_heard: bool) -> None:
    async with listening(reply) as endpoint:
        assert await speaks(endpoint, SECONDS) is is_heard


@pytest.mark.parametrize(("is_ready", "sign"), [(True, Sign.TOKEN), (False, Sign.REFUSAL)])
async def test_a_token_is_given_or_refused(is_ready: bool, sign: Sign) -> None:
    async with listening(b"HTTP/1.1 200 OK\r\n\r\n") as endpoint:
        assert await sign_of_life(Answers(is_ready), endpoint, SECONDS) is sign


@pytest.mark.parametrize(
    ("load", "sign"), [({"running": 2.0}, Sign.WORD), ({"running": 0.0}, Sign.NONE), ({}, Sign.NONE), (None, Sign.NONE)]
)
async def test_one_that_gives_no_token_must_be_busy(load: Mapping[str, float] | None, sign: Sign) -> None:
    async with listening(b"HTTP/1.1 200 OK\r\n\r\n") as endpoint:
        assert await sign_of_life(Answers(None, load), endpoint, SECONDS) is sign
        assert await sign_of_life(Answers(None, load), endpoint, SECONDS, has_requests=True) is Sign.WORD


@pytest.mark.parametrize("reply", [None, b"", b"garbage"])
async def test_one_that_does_not_speak_shows_nothing_however_busy(reply: bytes | None) -> None:
    async with listening(reply) as endpoint:
        assert await sign_of_life(Answers(True), endpoint, SECONDS, has_requests=True) is Sign.NONE


async def test_one_that_refuses_connections_is_dead() -> None:
    assert not await speaks(Endpoint("http://127.0.0.1:9/v1"), SECONDS)


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
