"""The connections to every origin: made, kept while idle, closed before the upstream closes them."""

from __future__ import annotations

import asyncio
import ssl

from headrace.domain.errors import HeadraceError, UpstreamTimeout, UpstreamTls, UpstreamUnavailable
from headrace.drivers.transports.addresses import LookUp, addresses_of
from headrace.drivers.transports.http1_connection import Http1Connection
from headrace.drivers.transports.http1_request import Origin

KEEPALIVE_SECONDS = 4.0


class Http1Pool:
    """Every open connection of a transport; create it inside the running loop."""

    def __init__(
        self, context: ssl.SSLContext, keepalive_seconds: float = KEEPALIVE_SECONDS, look_up: LookUp = addresses_of
    ) -> None:
        self._context = context
        self._keepalive_seconds = keepalive_seconds
        self._look_up = look_up
        self._loop = asyncio.get_running_loop()
        self._open: set[Http1Connection] = set()
        self._idle: dict[Http1Connection, tuple[float, Lane]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] | None = None

    def lane(self, origin: Origin) -> Lane:
        """Return a new way to an origin, without connections."""
        return Lane(self, origin)

    async def connect(self, lane: Lane, seconds: float) -> Http1Connection:
        """Return a new connection, looked up, connected and under TLS within the time; raises UpstreamError."""
        try:
            async with asyncio.timeout(seconds):
                return await self._dial(lane, self._loop.time() + seconds)
        except (OSError, UnicodeError) as error:
            raise _unreached(error) from error

    async def _dial(self, lane: Lane, due: float) -> Http1Connection:
        addresses = await self._look_up(lane.origin.host, lane.origin.port)
        for address in addresses[:-1]:
            # An address that swallows packets must not eat the time of those after it.
            seconds = (due - self._loop.time()) / 2
            try:
                async with asyncio.timeout(seconds):
                    return await self._dial_one(lane, address)
            except ssl.SSLError:
                raise
            except OSError:
                continue
        return await self._dial_one(lane, addresses[-1])

    async def _dial_one(self, lane: Lane, address: str) -> Http1Connection:
        origin, connection = lane.origin, Http1Connection(lane)
        try:
            await self._loop.create_connection(
                lambda: connection,
                address,
                origin.port,
                ssl=self._context if origin.is_tls else None,
                server_hostname=origin.host if origin.is_tls else None,
            )
        except BaseException:
            connection.drop()
            raise
        return connection

    async def close(self) -> None:
        """Close every connection and wait until its socket is gone."""
        self._closed = self._loop.create_future()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in tuple(self._open):
            connection.drop()
        if self._open:
            await self._closed

    def opened(self, connection: Http1Connection) -> None:
        """Count a connection in; one that comes too late is closed."""
        self._open.add(connection)
        if self._closed is not None:
            connection.drop()

    def gone(self, connection: Http1Connection) -> None:
        """Count a connection out."""
        self._open.discard(connection)
        _, lane = self._idle.pop(connection, (0.0, None))
        if lane is not None:
            lane.idle.remove(connection)
        if self._closed is not None and not self._open and not self._closed.done():
            self._closed.set_result(None)

    def rest(self, connection: Http1Connection, lane: Lane) -> None:
        """Keep an idle connection for a while."""
        now = self._loop.time()
        self._idle[connection] = (now, lane)
        if self._sweeper is None:
            self._sweeper = self._loop.call_at(now + self._keepalive_seconds, self._sweep)

    def wake(self, connection: Http1Connection) -> bool:
        """Take an idle connection out and say whether it is still good; closes it when not."""
        since, _ = self._idle.pop(connection)
        if connection.is_open and self._loop.time() - since < self._keepalive_seconds:
            return True
        connection.drop()
        return False

    def _sweep(self) -> None:
        self._sweeper = None
        now = self._loop.time()
        for connection, (since, _) in tuple(self._idle.items()):
            if now < since + self._keepalive_seconds:
                self._sweeper = self._loop.call_at(since + self._keepalive_seconds, self._sweep)
                return
            connection.drop()


class Lane:
    """An origin with its idle connections, newest last; keeps the connections that lead there."""

    __slots__ = ("_pool", "idle", "origin")

    def __init__(self, pool: Http1Pool, origin: Origin) -> None:
        self._pool = pool
        self.origin = origin
        self.idle: list[Http1Connection] = []

    def take(self) -> Http1Connection | None:
        """Return the newest idle connection that is still good, or None."""
        while self.idle:
            connection = self.idle.pop()
            if self._pool.wake(connection):
                return connection
        return None

    async def connect(self, seconds: float) -> Http1Connection:
        """Return a new connection; raises UpstreamError."""
        return await self._pool.connect(self, seconds)

    def made(self, connection: Http1Connection) -> None:
        """Count in a connection whose socket is open."""
        self._pool.opened(connection)

    def give_back(self, connection: Http1Connection) -> None:
        """Take a connection that may serve again."""
        self.idle.append(connection)
        self._pool.rest(connection, self)

    def lost(self, connection: Http1Connection) -> None:
        """Count out a connection whose socket is gone."""
        self._pool.gone(connection)


def _unreached(error: Exception) -> HeadraceError:
    detail = f"{type(error).__name__}: {error}"
    match error:
        case ssl.SSLError():
            return UpstreamTls("The upstream's TLS certificate was not accepted.", detail=detail)
        case TimeoutError():
            message = "The upstream did not accept a connection in time."
            return UpstreamTimeout(message, code="upstream_unreachable", detail=detail)
        case _:
            return UpstreamUnavailable("The upstream could not be reached.", code="upstream_unreachable", detail=detail)
