"""The relay in front of one engine on a node, an ASGI application: secret, forwarding, streaming; starts nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import Protocol, TypeAlias, cast

import aiohttp

from headrace.domain.plan import Endpoint
from headrace.drivers.compute.ray.order import WAKE_PATH, ReplicaOrder, opens

Message: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

CONNECT_SECONDS = 5.0
LARGEST_BODY_BYTES = 64 * 1024 * 1024
# What belongs to one connection and not to the message, and what this side sets itself.
_OF_A_CONNECTION = frozenset(
    {"connection", "keep-alive", "proxy-connection", "trailer", "transfer-encoding", "upgrade", "expect"}
)
_NOT_FORWARDED = _OF_A_CONNECTION | {"host", "authorization", "content-length"}


class Engine(Protocol):
    """The engine behind the relay."""

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens on this node."""
        ...

    def active(self) -> None:
        """Hear that the engine did something: it took a request or gave a piece of an answer."""
        ...


class Departed(Exception):
    """The caller has left."""


class Relay:
    """Passes requests with the right secret on to the engine and its answer back, piece by piece as it comes.

    A caller who leaves takes the request to the engine with him. An answer that breaks off breaks off here too: nothing
    is added to it.
    """

    def __init__(self, order: ReplicaOrder, engine: Engine) -> None:
        self._order = order
        self._engine = engine
        self._session: aiohttp.ClientSession | None = None
        self.in_flight = 0

    async def __call__(self, scope: Mapping[str, object], receive: Receive, send: Send) -> None:
        """Serve one connection's request; other protocols than HTTP are refused by silence."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def close(self) -> None:
        """Drop every connection to the engine."""
        if self._session is not None:
            await self._session.close()

    async def _answer(self, scope: Mapping[str, object], receive: Receive, send: Send) -> None:
        headers = _headers_of(scope)
        path = _path_of(scope)
        if not opens(self._order, headers.get("authorization", "")):
            await _say(send, 401, "The secret of this deployment is missing or wrong.")
        elif not path.startswith("/"):
            await _say(send, 404, "There is nothing at this path.")
        elif path.partition("?")[0] == WAKE_PATH:
            await _say(send, 200, "awake")
        else:
            await self._forward(str(scope["method"]), path, headers, (receive, send))

    async def _forward(self, method: str, path: str, headers: Mapping[str, str], wire: tuple[Receive, Send]) -> None:
        receive, send = wire
        self.in_flight += 1
        self._engine.active()
        try:
            body = await _body(receive)
            if body is None:
                await _say(send, 413, f"A request may have {LARGEST_BODY_BYTES} bytes.")
                return
            await self._until_departed(self._exchange(method, path, headers, body, send), receive)
        except Departed:
            return
        finally:
            self.in_flight -= 1

    async def _until_departed(self, work: Coroutine[None, None, None], receive: Receive) -> None:
        """Do the work, or leave it when the caller leaves."""
        loop = asyncio.get_running_loop()
        doing, leaving = loop.create_task(work), loop.create_task(_departure(receive))
        try:
            await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                await doing
        finally:
            for task in (doing, leaving):
                task.cancel()
                with suppress(asyncio.CancelledError, aiohttp.ClientError, OSError):
                    await task

    async def _exchange(self, method: str, path: str, headers: Mapping[str, str], body: bytes, send: Send) -> None:
        endpoint = self._engine.endpoint
        out = {name: value for name, value in headers.items() if name not in _NOT_FORWARDED}
        if endpoint.auth_header is not None and endpoint.auth_value is not None:
            out[endpoint.auth_header] = endpoint.auth_value.reveal()
        has_begun = False
        try:
            async with self._client().request(
                method, endpoint.base_url + path, headers=out, data=body or None, allow_redirects=False
            ) as reply:
                await send({"type": "http.response.start", "status": reply.status, "headers": _back(reply)})
                has_begun = True
                async for block in reply.content.iter_any():
                    self._engine.active()
                    await send({"type": "http.response.body", "body": block, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if has_begun:
                raise
            await _say(send, 503, f"The engine of this replica does not answer ({type(error).__name__}).")

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
                auto_decompress=False,
                skip_auto_headers=("user-agent", "accept", "accept-encoding"),
            )
        return self._session


async def _live(receive: Receive, send: Send) -> None:
    """Speak the lifespan protocol: there is nothing to do at either end."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _body(receive: Receive) -> bytes | None:
    """Return the whole body, None for one that is too large; raises Departed."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Departed
        part = message.get("body", b"")
        if isinstance(part, bytes):
            parts.append(part)
            size += len(part)
        if size > LARGEST_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _say(send: Send, status: int, text: str) -> None:
    body = f'{{"error":{{"message":"{text}","type":"headrace_node","code":{status}}}}}'.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _headers_of(scope: Mapping[str, object]) -> dict[str, str]:
    pairs = cast("Iterable[tuple[bytes, bytes]]", scope["headers"])
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs}


def _path_of(scope: Mapping[str, object]) -> str:
    """Return path and query below the prefix that the cluster's proxy has put in front."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    query = scope.get("query_string", b"")
    below = path[len(root) :] if path.startswith(root) else path
    asked = query.decode("latin-1") if isinstance(query, bytes) else ""
    return f"{below}?{asked}" if asked else below


def _back(reply: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
    return [
        (name, value) for name, value in reply.raw_headers if name.decode("latin-1").lower() not in _OF_A_CONNECTION
    ]
