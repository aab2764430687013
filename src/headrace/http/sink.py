"""The caller's connection as a sink: ASGI messages out, the caller's leaving noticed at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from headrace.http.connections import CallerLink
from headrace.http.edge import Receive, Send

WATCH_AFTER_SECONDS = 0.1
Headers = tuple[tuple[str, str], ...]


class CallerWatch:
    """Watches for the caller's leaving from a moment on that most short replies never reach."""

    def __init__(
        self, wait: Callable[[asyncio.Task[None]], Coroutine[Any, Any, None]], turn: asyncio.Task[None]
    ) -> None:
        self._wait = wait
        self._turn = turn
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, self._begin)

    def end(self) -> None:
        """Watch no longer."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._wait(self._turn), name="caller-watch")


class AsgiSink:
    """Writes one reply; `watch` it while a turn runs, so that a caller who leaves ends the turn."""

    def __init__(self, receive: Receive, send: Send, request_id: str, link: CallerLink | None = None) -> None:
        self._receive = receive
        self._send = send
        self.request_id = request_id
        self._request_id = request_id.encode()
        self.started = False
        self.gone = False
        self.ended = False
        self.status = 0
        self._link = link
        self.more_headers: Callable[[], Headers] | None = None

    @property
    def departure(self) -> str | None:
        """How the caller left; None while the caller is there."""
        if not self.gone:
            return None
        return "slow_reader" if self._link is not None and self._link.is_slow else "client_closed"

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers, the request id under both of its names, and what `more_headers` gives now."""
        self.started = True
        self.status = status
        if self.more_headers is not None:
            headers = (*headers, *self.more_headers())
        lines = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers]
        lines.append((b"x-request-id", self._request_id))
        lines.append((b"request-id", self._request_id))
        await self._send({"type": "http.response.start", "status": status, "headers": lines})

    async def write(self, block: bytes) -> None:
        """Send bytes; waits while the caller is slow to read."""
        await self._send({"type": "http.response.body", "body": block, "more_body": True})

    async def end(self, block: bytes) -> None:
        """Send the last bytes and the end of the transfer."""
        self.ended = True
        await self._send({"type": "http.response.body", "body": block})

    async def break_off(self, block: bytes) -> None:
        """Send the last bytes and leave the transfer without its end: the server then closes the connection."""
        await self.write(block)

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole reply at once."""
        await self.start(status, (*headers, ("content-length", str(len(body)))))
        await self.end(body)

    def watch(self, turn: asyncio.Task[None]) -> CallerWatch:
        """Return a watch that cancels the turn when the caller leaves; end it with the turn."""
        return CallerWatch(self._cancel_when_gone, turn)

    async def _cancel_when_gone(self, turn: asyncio.Task[None]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
        if not self.ended:
            self.gone = True
            turn.cancel()
