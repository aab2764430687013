"""The addresses of upstreams' names: looked up once for all who ask, kept a while, and the last good ones longer.

A name server that is silent or fails costs a known upstream a second and no request, and holds one thread, not one for
each request. Addresses that users set are looked up anew for every request: that is egress'.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

FRESH_SECONDS = 10.0
STALE_SECONDS = 600.0
PATIENCE_SECONDS = 1.0
MOST_NAMES = 1024
LookUp: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
_Name: TypeAlias = tuple[str, int]


async def addresses_of(host: str, port: int) -> list[str]:
    """Return the numeric addresses of a host in the system's order of preference; raises OSError, UnicodeError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


@dataclass(frozen=True, slots=True)
class _Known:
    """Addresses that were found, and when."""

    addresses: list[str]
    found_at: float


class Addresses:
    """Finds addresses for one transport; use it inside the running loop and close it."""

    def __init__(
        self,
        look_up: LookUp = addresses_of,
        *,
        fresh_seconds: float = FRESH_SECONDS,
        stale_seconds: float = STALE_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._look_up = look_up
        self._fresh_seconds = fresh_seconds
        self._stale_seconds = stale_seconds
        self._patience_seconds = patience_seconds
        self._known: dict[_Name, _Known] = {}
        self._running: dict[_Name, asyncio.Task[list[str]]] = {}

    async def of(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host; raises OSError, UnicodeError where none was ever found."""
        if _is_address(host):
            return [host]
        name, now = (host, port), asyncio.get_running_loop().time()
        known = self._known.get(name)
        age = self._stale_seconds if known is None else now - known.found_at
        if known is not None and age < self._fresh_seconds:
            return known.addresses
        looking = self._running.get(name) or self._start(name)
        if known is None or age >= self._stale_seconds:
            return await asyncio.shield(looking)
        try:
            async with asyncio.timeout(self._patience_seconds):
                return await asyncio.shield(looking)
        except (OSError, UnicodeError):
            return known.addresses

    def close(self) -> None:
        """Give up what is looked up still."""
        for looking in self._running.values():
            looking.cancel()

    def _start(self, name: _Name) -> asyncio.Task[list[str]]:
        looking = asyncio.get_running_loop().create_task(self._find(name), name=f"look up {name[0]}")
        self._running[name] = looking
        looking.add_done_callback(lambda ended: self._ended(name, ended))
        return looking

    async def _find(self, name: _Name) -> list[str]:
        addresses = await self._look_up(*name)
        if len(self._known) >= MOST_NAMES:
            self._known.clear()
        self._known[name] = _Known(addresses, asyncio.get_running_loop().time())
        return addresses

    def _ended(self, name: _Name, ended: asyncio.Task[list[str]]) -> None:
        del self._running[name]
        if not ended.cancelled():
            # Whoever still waits hears of it; when nobody does, nobody needs to.
            ended.exception()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
