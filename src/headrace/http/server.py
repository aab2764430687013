"""The HTTP server: uvicorn on our own socket, with our own signals, draining at the end.

A reply that is broken off on purpose leaves uvicorn's transfer unfinished, so that the caller sees a broken end;
uvicorn reports that as an application error, which is filtered from its log. So is its word on requests that are no
HTTP: the protocol tells the observer of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TypeGuard

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from headrace.domain.errors import AddressInUse, HomeUnusable
from headrace.http.connections import ConnectionLimits
from headrace.http.gateway import AsgiApp
from headrace.http.protocol import GuardedConfig, GuardedProtocol
from headrace.ports.ambient import Ids
from headrace.ports.observer import Observer

BACKLOG = 4096
SILENT_SECONDS = 1.0
BREAK_OFF_SECONDS = 2.0
TICKS_PER_INSPECTION = 10
_UNFINISHED = "ASGI callable returned without completing response"
_NOT_HTTP = "Invalid HTTP request received."
_STARTED = "Started server process"


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the server listens and how it ends; `drain_seconds` is how long requests in flight may go on."""

    host: str
    port: int
    certificate_file: str | None = None
    key_file: str | None = None
    drain_seconds: int = 30
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)


class GatewayServer(uvicorn.Server):
    """A uvicorn server on our own sockets that leaves signals to its owner and gives a handshake as long as a head."""

    def __init__(self, config: GuardedConfig) -> None:
        super().__init__(config)
        self._guarded = config
        self._drains_since: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; uvicorn's own way has no deadline for TLS, and the event loop's is a minute."""
        config, loop = self._guarded, asyncio.get_running_loop()
        deadline = config.limits.head_seconds if config.is_ssl else None
        self.servers = [
            await loop.create_server(
                self._connection, sock=each, ssl=config.ssl, ssl_handshake_timeout=deadline, backlog=config.backlog
            )
            for each in sockets or ()
        ]
        self.started = True

    def _connection(self) -> GuardedProtocol:
        return GuardedProtocol(self._guarded, self.server_state, app_state={})

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take no signals: the owner decides when to drain."""
        yield

    def drain(self) -> None:
        """Take no new requests and end when those in flight have ended."""
        self.should_exit = True
        self._drains_since = asyncio.get_running_loop().time()

    @property
    def drain_seconds_left(self) -> float:
        """How long what is in flight may still go on."""
        seconds, since = self.config.timeout_graceful_shutdown or 0, self._drains_since
        if since is None or self.force_exit:
            return 0
        return max(0, seconds - (asyncio.get_running_loop().time() - since))

    async def on_tick(self, counter: int) -> bool:
        """Inspect the connections about once a second."""
        if counter % TICKS_PER_INSPECTION == 0:
            self._inspect()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End when requests in flight have ended, without waiting for TLS clients that keep an idle connection."""
        hanging_up = asyncio.get_running_loop().create_task(self._hang_up_on_the_silent(), name="hang up")
        try:
            await super().shutdown(sockets)
            await self._break_off()
        finally:
            hanging_up.cancel()

    async def _break_off(self) -> None:
        """End what still runs, while all that it needs is open: else it would be booked as the upstream's failure."""
        left = tuple(self.server_state.tasks)
        for task in left if self.force_exit else ():
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=BREAK_OFF_SECONDS)

    async def _hang_up_on_the_silent(self) -> None:
        """A client at rest does not answer the closing of TLS, and the event loop would wait half a minute for it."""
        before: set[HttpToolsProtocol] = set()
        while True:
            await asyncio.sleep(SILENT_SECONDS)
            self._inspect()
            if not self.config.is_ssl:
                continue
            at_rest = {each for each in self.server_state.connections if _is_at_rest(each)}
            for connection in at_rest & before:
                connection.transport.abort()
            before = at_rest

    def _inspect(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in tuple[object, ...](self.server_state.connections):
            if isinstance(connection, GuardedProtocol):
                connection.inspect(now)


def bind(listening: Listening, describe_owner: Callable[[int], str | None]) -> socket.socket:
    """Return a listening socket; raises AddressInUse naming who has the port, HomeUnusable for a bad host."""
    family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((listening.host, listening.port))
        listener.listen(BACKLOG)
    except OverflowError:
        listener.close()
        raise HomeUnusable(f"{listening.port} is not a port; use 1 to 65535.") from None
    except OSError as error:
        listener.close()
        raise _bind_failure(listening, error, describe_owner) from error
    listener.setblocking(False)
    return listener


def make_server(gateway: AsgiApp, listening: Listening, ids: Ids, observer: Observer) -> GatewayServer:
    """Return a server that is not running yet."""
    logging.getLogger("uvicorn.error").addFilter(_keeps)
    config = GuardedConfig(
        gateway,
        loop="none",
        http=GuardedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        backlog=BACKLOG,
        proxy_headers=False,
        timeout_keep_alive=listening.limits.idle_seconds,
        timeout_graceful_shutdown=listening.drain_seconds,
        ssl_certfile=listening.certificate_file,
        ssl_keyfile=listening.key_file,
    )
    config.guard(listening.limits, ids, observer)
    return GatewayServer(config)


def _is_at_rest(connection: object) -> TypeGuard[HttpToolsProtocol]:
    if not isinstance(connection, HttpToolsProtocol):
        return False
    return not connection.cycle or connection.cycle.response_complete


def _keeps(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith((_UNFINISHED, _NOT_HTTP, _STARTED))


def _bind_failure(listening: Listening, error: OSError, describe_owner: Callable[[int], str | None]) -> AddressInUse:
    owner = describe_owner(listening.port)
    taken = f"port {listening.port} is taken{f' by {owner}' if owner else ''}"
    text = taken if "in use" in str(error).lower() else f"cannot listen on {listening.host}:{listening.port}: {error}"
    return AddressInUse(f"{text}. Use another: headrace serve --port {listening.port + 1} - or stop it.")
