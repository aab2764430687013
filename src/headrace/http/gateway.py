"""The ASGI application: hot routes by a dictionary look-up, everything else by the Starlette application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from headrace.http.edge import Receive, Scope, Send

AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Find: TypeAlias = Callable[[str], AsgiApp | None]


class InFlight:
    """How many requests are being served now."""

    def __init__(self) -> None:
        self.count = 0


class Gateway:
    """Dispatches requests and counts those in flight; `own` finds the hot routes whose paths name a deployment."""

    def __init__(
        self, hot: Mapping[str, AsgiApp], others: AsgiApp, in_flight: InFlight, own: Find | None = None
    ) -> None:
        self._hot = hot
        self._own = own
        self._others = others
        self._in_flight = in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other kinds of connection are refused by closing them."""
        if scope["type"] != "http":
            await _refuse(scope, receive, send)
            return
        endpoint = self._endpoint(scope["path"]) if scope["method"] == "POST" else None
        self._in_flight.count += 1
        try:
            await (endpoint or self._others)(scope, receive, send)
        finally:
            self._in_flight.count -= 1

    def _endpoint(self, path: str) -> AsgiApp | None:
        found = self._hot.get(path)
        return self._own(path) if found is None and self._own is not None else found


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
