"""A second transport, on aiohttp: the peer that the product's own one is compared with."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from types import TracebackType
from weakref import WeakSet

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from headrace.domain.errors import (
    HeadraceError,
    UpstreamProtocol,
    UpstreamStalled,
    UpstreamTimeout,
    UpstreamTls,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from headrace.domain.plan import Deadlines, Endpoint
from headrace.drivers.transports.refusal import CleanedRefusal
from headrace.ports.upstream import Exchange, Prepared
from tests.contract.raw_upstream import trusting_nobody

KEEPALIVE_SECONDS = 4.0
FIRST_REFUSAL = 400
MAX_LINE_BYTES = 64 * 1024
_BASE_HEADERS: Mapping[str, str] = {"Content-Type": "application/json", "Accept-Encoding": "identity"}


class ReuseConnector(aiohttp.TCPConnector):
    """A connector that tells the task that sends whether its connection had served a request before."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - a parameter that is not passed has no type
            limit=0, keepalive_timeout=KEEPALIVE_SECONDS, ttl_dns_cache=30, ssl=context
        )
        self._seen: WeakSet[object] = WeakSet()
        self.was_used = ContextVar("was_used", default=False)

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> Connection:
        """Return a connection, pooled or new."""
        self.was_used.set(False)
        connection = await super().connect(req, traces, timeout)
        self.was_used.set(connection.protocol in self._seen)
        if connection.protocol is not None:
            self._seen.add(connection.protocol)
        return connection


class AiohttpTransport:
    """Sends requests through one aiohttp session; open it inside the running loop."""

    def __init__(self, user_agent: str, ca_file: str | None = None) -> None:
        self._user_agent = user_agent
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None
        self._connector: ReuseConnector | None = None
        self._timeouts: dict[tuple[Deadlines, bool], aiohttp.ClientTimeout] = {}

    async def __aenter__(self) -> AiohttpTransport:
        trusted = self._ca_file
        context = trusting_nobody() if trusted is None else ssl.create_default_context(cafile=trusted)
        self._connector = ReuseConnector(context)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            headers={"User-Agent": self._user_agent},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            raise_for_status=False,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines) -> Exchange:
        """Send one POST and wait for the status line; raises UpstreamError."""
        if self._session is None or self._connector is None:
            raise AssertionError("the transport is not open")
        headers = {**_BASE_HEADERS, **dict(prepared.headers)}
        if endpoint.auth_header is not None and endpoint.auth_value is not None:
            headers[endpoint.auth_header] = endpoint.auth_value.reveal()
        try:
            response = await self._session.post(
                endpoint.base_url + prepared.path,
                data=prepared.body,
                headers=headers,
                allow_redirects=False,
                timeout=self._timeout(deadlines, prepared.stream),
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if self._connector.was_used.get() and is_without_answer(error):
                raise _closed_while_idle(error) from error
            raise named_failure(error, sent=False) from error
        exchange = AiohttpExchange(response, deadlines.between_events_seconds)
        if response.status < FIRST_REFUSAL or endpoint.auth_value is None:
            return exchange
        return CleanedRefusal(exchange, endpoint.auth_value)

    def _timeout(self, deadlines: Deadlines, stream: bool) -> aiohttp.ClientTimeout:
        known = self._timeouts.get((deadlines, stream))
        if known is None:
            first_seconds = deadlines.first_event_seconds if stream else deadlines.total_seconds
            connect_seconds = deadlines.connect_seconds
            known = aiohttp.ClientTimeout(
                total=None, connect=connect_seconds, sock_connect=connect_seconds, sock_read=first_seconds
            )
            self._timeouts[deadlines, stream] = known
        return known


class AiohttpExchange:
    """One response under way; the limit between blocks counts from the first one on."""

    def __init__(self, response: aiohttp.ClientResponse, between_seconds: float) -> None:
        self._response = response
        self._between_seconds = between_seconds
        self._has_begun = False

    @property
    def status(self) -> int:
        """The upstream's HTTP status."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The upstream's headers; look-up ignores case."""
        return self._response.headers

    async def read(self) -> bytes | None:
        """Return the next block, or None at a clean end; raises UpstreamError after all that came was given out."""
        try:
            block = await self._response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            block = self._arrived_before_failure()
            if not block:
                raise named_failure(error, sent=True) from error
        if not self._has_begun:
            self._limit_silence()
        return block or None

    def _arrived_before_failure(self) -> bytes:
        # A broken connection makes every public read raise at once, also while bytes wait that came before it broke.
        return self._response.content._read_nowait(-1)  # pyright: ignore[reportPrivateUsage] - no public way

    def _limit_silence(self) -> None:
        self._has_begun = True
        connection = self._response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = self._between_seconds
            connection.protocol.start_timeout()

    async def close(self) -> None:
        """Drop the connection unless the body was read to its end."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


def is_without_answer(error: Exception) -> bool:
    """Whether the connection ended before one byte of an answer had come."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return isinstance(error.message, str)
    return isinstance(error, OSError) and not isinstance(error, TimeoutError | aiohttp.ClientConnectorError)


def _closed_while_idle(error: Exception) -> HeadraceError:
    return UpstreamUnavailable(
        "The upstream closed an idle connection as the request was sent on it.",
        code="conn_reused_retry",
        detail=f"{type(error).__name__}: {error}",
    )


def named_failure(error: Exception, *, sent: bool) -> HeadraceError:
    """Return the member of our tree for a failure of aiohttp; `sent` says that the answer had begun."""
    detail = f"{type(error).__name__}: {error}"
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return UpstreamTls("The upstream's TLS certificate was not accepted.", detail=detail)
        case aiohttp.ConnectionTimeoutError():
            return UpstreamTimeout(
                "The upstream did not accept a connection in time.", code="upstream_unreachable", detail=detail
            )
        case aiohttp.ClientConnectorError():
            return UpstreamUnavailable("The upstream could not be reached.", code="upstream_unreachable", detail=detail)
        case aiohttp.ClientPayloadError():
            return UpstreamTruncated("The upstream's answer broke off.", detail=detail)
        case aiohttp.ClientResponseError():
            return UpstreamProtocol("The upstream's answer is not valid HTTP.", detail=detail)
        case TimeoutError() | asyncio.TimeoutError():
            return (
                UpstreamStalled("The upstream stopped sending.", detail=detail)
                if sent
                else UpstreamTimeout("The upstream did not answer in time.", detail=detail)
            )
        case aiohttp.InvalidURL():
            return UpstreamUnavailable(
                "The provider's base URL is not valid.", code="upstream_unreachable", detail=detail
            )
        case _ if sent:
            return UpstreamTruncated("The upstream's answer broke off.", detail=detail)
        case _:
            return UpstreamUnavailable("The upstream closed the connection without an answer.", detail=detail)
