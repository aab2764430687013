"""Whether a replica is alive: a cheap answer first, a real token where it has nothing else to do; it ends nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

from headrace.domain.plan import Endpoint
from headrace.ports.fleet import Engine


async def is_alive(engine: Engine, endpoint: Endpoint, *, is_busy: bool, seconds: float) -> bool:
    """Return whether a replica lives; each question has so many seconds.

    One that has requests is not asked for a token, which would wait behind them: any reply to HTTP is enough. An idle
    one gives a real token, unless it says itself that it is busy.
    """
    try:
        async with asyncio.timeout(seconds):
            if not await _replies(endpoint):
                return False
    except TimeoutError:
        return False
    if is_busy:
        return True
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await engine.ready(endpoint)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return (await engine.load(endpoint)).get("running", 0) > 0
    return False


async def _replies(endpoint: Endpoint) -> bool:
    """Whether anything at all comes back, be it a refusal."""
    address = urlsplit(endpoint.base_url)
    try:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
    except OSError:
        return False
    try:
        writer.write(f"GET /health HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n".encode())
        return (await reader.read(5)).startswith(b"HTTP/")
    except OSError:
        return False
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
