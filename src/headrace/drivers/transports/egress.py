"""The way out to addresses that users set: judged as they are connected to, no redirects, one bounded exchange."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from types import TracebackType

from headrace.domain.egress import authority_of, destination_of, private_of
from headrace.domain.errors import InvalidRequest, UpstreamTimeout, UpstreamUnavailable
from headrace.domain.plan import Deadlines, Endpoint
from headrace.drivers.transports.addresses import LookUp, addresses_of
from headrace.drivers.transports.http1_transport import Http1Transport
from headrace.ports.upstream import Prepared

CONNECT_SECONDS = 5.0
# The specification of webhooks recommends 15 to 30.
TOTAL_SECONDS = 15.0
LOOK_UP_SECONDS = 5.0


class EgressSender:
    """Posts small messages; open it inside the running loop.

    `allowed` are the host:port pairs at private addresses that the operator permits. A name is looked up at every
    connection, every address that it has must be good, and those very addresses are connected to. `tls` is what hosts
    are trusted by; making it takes a while, so another transport's is shared.
    """

    def __init__(
        self,
        user_agent: str,
        allowed: frozenset[str],
        look_up: LookUp = addresses_of,
        tls: ssl.SSLContext | None = None,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._allowed = allowed
        self._look_up = look_up
        self._total_seconds = total_seconds
        self._transport = Http1Transport(user_agent, look_up=self._look_up_public, tls=tls)

    async def __aenter__(self) -> EgressSender:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    async def check(self, url: str) -> None:
        """Raise InvalidRequest when a URL may not be sent to; a name that does not resolve now may do so later."""
        destination = destination_of(url, self._allowed)
        if destination.authority in self._allowed:
            return
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                addresses = await self._look_up(destination.host, destination.port)
        except (OSError, UnicodeError):
            return
        private = private_of(addresses)
        if private is not None:
            raise InvalidRequest(
                f'"{url[:200]}" leads to {private}, which is no public address. Write a public one, or let the operator'
                f" allow it with --webhook-host {destination.authority}.",
                code="webhook_address_private",
                param="url",
            )

    async def post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> int:
        """Post once and return the status; raises HeadraceError when there is no answer or the address is refused."""
        destination_of(url, self._allowed)
        prepared = Prepared("", body, stream=False, headers=tuple(headers))
        deadlines = Deadlines(CONNECT_SECONDS, self._total_seconds, self._total_seconds, self._total_seconds)
        try:
            async with asyncio.timeout(self._total_seconds):
                exchange = await self._transport.send(Endpoint(url), prepared, deadlines)
                await exchange.close()
        except TimeoutError as error:
            raise UpstreamTimeout(f"The receiver did not answer within {self._total_seconds:g} s.") from error
        return exchange.status

    async def _look_up_public(self, host: str, port: int) -> list[str]:
        addresses = await self._look_up(host, port)
        private = None if authority_of(host, port) in self._allowed else private_of(addresses)
        if private is not None:
            raise UpstreamUnavailable(f"{host} leads to {private} now, which is no public address.")
        return addresses
