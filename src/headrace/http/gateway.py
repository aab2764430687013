"""The ASGI application: hot routes by a dictionary look-up, everything else by the Starlette application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from headrace.http.edge import Receive, Scope, Send

AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class InFlight:
    """How many requests are being served now."""

    def __init__(self) -> None:
        self.count = 0


class Gateway:
    """Dispatches requests and counts those in flight."""

    def __init__(self, hot: Mapping[str, AsgiApp], others: AsgiApp, in_flight: InFlight) -> None:
        self._hot = hot
        self._others = others
        self._in_flight = in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other kinds of connection are refused by closing them."""
        if scope["type"] != "http":
            await _refuse(scope, receive, send)
            return
        endpoint = self._hot.get(scope["path"]) if scope["method"] == "POST" else None
        self._in_flight.count += 1
        try:
            await (endpoint or self._others)(scope, receive, send)
        finally:
            self._in_flight.count -= 1


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
