"""Whether a replica is alive: a cheap answer first, then a real token; it ends nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import Enum
from urllib.parse import urlsplit

from headrace.domain.plan import Endpoint
from headrace.ports.fleet import Engine


class Sign(Enum):
    """What a replica showed of its life.

    `TOKEN` is a real token, `REFUSAL` a reply in its place. `WORD` is any reply to HTTP where a token does not come in
    time because of other requests, ours or those that it counts itself. `NONE` is nothing of it.
    """

    TOKEN = 1
    WORD = 2
    REFUSAL = 3
    NONE = 4


async def speaks(endpoint: Endpoint, seconds: float) -> bool:
    """Whether anything at all comes back by HTTP, be it a refusal."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await _replies(endpoint)
    return False


async def sign_of_life(engine: Engine, endpoint: Endpoint, seconds: float, *, has_requests: bool = False) -> Sign:
    """Return what a replica shows when it is asked for a token; each question has so many seconds."""
    if not await speaks(endpoint, seconds):
        return Sign.NONE
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return Sign.TOKEN if await engine.ready(endpoint) else Sign.REFUSAL
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            is_busy = has_requests or (await engine.load(endpoint)).get("running", 0) > 0
            return Sign.WORD if is_busy else Sign.NONE
    return Sign.NONE


async def _replies(endpoint: Endpoint) -> bool:
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
