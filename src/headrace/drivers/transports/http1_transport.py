"""The data plane's transport: HTTP/1.1 on asyncio's protocols, pooled, no redirects, no retries, failures named once.

Idle connections are closed before common servers close them (5 s), so that a request rarely meets a dead one.
"""

from __future__ import annotations

import ssl
from types import TracebackType

from headrace.domain.plan import Deadlines, Endpoint
from headrace.drivers.transports.addresses import Addresses, LookUp
from headrace.drivers.transports.http1_pool import KEEPALIVE_SECONDS, Http1Pool, Lane
from headrace.drivers.transports.http1_request import Origin, Route, request_head, route_to
from headrace.drivers.transports.refusal import CleanedRefusal
from headrace.ports.upstream import Exchange, Prepared

FIRST_REFUSAL = 400
MAX_ROUTES = 1024
_PROTOCOLS = ("http/1.1",)


class Http1Transport:
    """Sends requests over pooled connections of its own; open it inside the running loop.

    `look_up` finds the addresses that are connected to, and may refuse a host by raising; without one they are kept for
    a while. `tls` is what hosts are
    trusted by, made from `ca_file` when it is None, which takes a while.
    """

    def __init__(
        self,
        user_agent: str,
        ca_file: str | None = None,
        look_up: LookUp | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._user_agent = user_agent
        self._ca_file = ca_file
        self._addresses = Addresses()
        self._look_up = look_up or self._addresses.of
        self.tls = tls
        self._pool: Http1Pool | None = None
        self._routes: dict[str, tuple[Route, Lane]] = {}
        self._lanes: dict[Origin, Lane] = {}

    async def __aenter__(self) -> Http1Transport:
        if self.tls is None:
            self.tls = ssl.create_default_context(cafile=self._ca_file)
            self.tls.set_alpn_protocols(list(_PROTOCOLS))
        self._pool = Http1Pool(self.tls, KEEPALIVE_SECONDS, self._look_up)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            self._addresses.close()
            await pool.close()

    async def send(self, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines) -> Exchange:
        """Send one POST and wait for the status line; raises UpstreamError."""
        if self._pool is None:
            raise AssertionError("the transport is not open")
        url = endpoint.base_url + prepared.path
        route, lane = self._routes.get(url) or self._find(self._pool, url)
        head = request_head(route, endpoint, prepared)
        first_seconds = deadlines.first_event_seconds if prepared.stream else deadlines.total_seconds
        connection = lane.take() or await lane.connect(deadlines.connect_seconds)
        exchange = await connection.exchange(head, prepared.body, first_seconds, deadlines.between_events_seconds)
        if exchange.status < FIRST_REFUSAL or endpoint.auth_value is None:
            return exchange
        return CleanedRefusal(exchange, endpoint.auth_value)

    def _find(self, pool: Http1Pool, url: str) -> tuple[Route, Lane]:
        route = route_to(url, self._user_agent)
        if len(self._routes) >= MAX_ROUTES:
            # Ports of engines come and go; connections of a forgotten lane are closed by the pool when idle.
            self._routes.clear()
            self._lanes.clear()
        lane = self._lanes.get(route.origin) or pool.lane(route.origin)
        self._lanes[route.origin] = lane
        found = self._routes[url] = (route, lane)
        return found
