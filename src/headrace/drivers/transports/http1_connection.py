"""One connection to an upstream: writes a request, reads its answer, watches its deadlines; knows no pool."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol, cast

from headrace.domain.errors import (
    HeadraceError,
    UpstreamProtocol,
    UpstreamStalled,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnavailable,
)
from headrace.drivers.transports.http1_response import Answer, Fields, ResponseParser

HIGH_WATER_BYTES = 256 * 1024
CLOCK_STEP_SECONDS = 0.001


class Keeper(Protocol):
    """What owns connections and hears of their lives."""

    def made(self, connection: Http1Connection) -> None:
        """Count in a connection whose socket is open."""
        ...

    def give_back(self, connection: Http1Connection) -> None:
        """Take a connection that may serve again."""
        ...

    def lost(self, connection: Http1Connection) -> None:
        """Count out a connection whose socket is gone."""
        ...


class Http1Connection(asyncio.Protocol):
    """A socket on which one exchange follows another."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._parser = ResponseParser()
        self._transport: asyncio.Transport | None = None
        self._is_open = False
        self._is_dropped = False
        self._is_paused = False
        self._is_spoiled = False
        self._was_used = False
        self._waiter: asyncio.Future[None] | None = None
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed."""
        return (
            self._is_open and not self._is_dropped and self._transport is not None and not self._transport.is_closing()
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket, unless nobody wants it any more."""
        self._transport = cast("asyncio.Transport", transport)
        self._is_open = True
        self._keeper.made(self)
        if self._is_dropped:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read on, and let the upstream wait when nobody takes what came."""
        try:
            self._parser.feed(data)
        except UpstreamProtocol as error:
            self._fail(error)
            return
        answer = self._parser.answer
        if answer.is_followed:
            self.drop()
        elif answer.unread_bytes > HIGH_WATER_BYTES and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Take the upstream's end of the connection; ours follows."""
        self._break_off(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Name what is missing of the answer."""
        self._break_off(exc)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._keeper.lost(self)

    def drop(self) -> None:
        """Close at once; what has arrived stays readable."""
        self._is_dropped = True
        if self._transport is not None:
            self._transport.abort()

    async def exchange(self, head: bytes, body: bytes, first_seconds: float, between_seconds: float) -> Http1Exchange:
        """Write a request and wait for the head of its answer; raises UpstreamError, then the connection is gone."""
        answer = self._write(head, body)
        self.limit(first_seconds)
        try:
            while not answer.has_head and answer.failure is None:
                await self.news()
        except asyncio.CancelledError:
            self.drop()
            raise
        if answer.has_head:
            return Http1Exchange(self, answer, first_seconds, between_seconds)
        raise answer.failure or AssertionError("an answer without a head and without a failure")

    def _write(self, head: bytes, body: bytes) -> Answer:
        if self._was_used:
            answer = self._parser.begin()
        else:
            answer = self._parser.answer
            self._is_spoiled = self._parser.has_begun
        if self._transport is not None and self.is_open:
            self._transport.writelines((head, body))
        return answer

    def limit(self, seconds: float) -> None:
        """Fail the answer when its next news takes longer than this."""
        due = self._due = self._loop.time() + seconds
        timer = self._timer
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timer = self._loop.call_at(due, self._look)

    async def news(self) -> None:
        """Wait until bytes have come, or the failure."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def drained(self) -> None:
        """Read on: all that came was taken."""
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            if self.is_open:
                self._transport.resume_reading()

    def finished(self, answer: Answer) -> None:
        """Serve again when this answer came whole and nothing hinders it, else close."""
        transport = self._transport
        if (
            not (answer.is_complete and answer.keeps_alive and self.is_open)
            or self._is_spoiled
            or transport is None
            or transport.get_write_buffer_size()
        ):
            self.drop()
            return
        self.drained()
        self._was_used = True
        self._keeper.give_back(self)

    def _look(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() < self._due - CLOCK_STEP_SECONDS:
            self._timer = self._loop.call_at(self._due, self._look)
        elif self._parser.answer.has_head:
            self._fail(UpstreamStalled("The upstream stopped sending."))
        else:
            self._fail(UpstreamTimeout("The upstream did not answer in time."))

    def _break_off(self, error: Exception | None) -> None:
        answer = self._parser.answer
        self._is_open = False
        if error is None and not self._is_dropped:
            self._parser.end()
        if not answer.is_complete and answer.failure is None:
            answer.failure = self._missing(answer, error)
            answer.failure.__cause__ = error
        self._wake()

    def _missing(self, answer: Answer, error: Exception | None) -> HeadraceError:
        detail = "closed" if error is None else f"{type(error).__name__}: {error}"
        if answer.has_head:
            return UpstreamTruncated("The upstream's answer broke off.", detail=detail)
        if self._was_used and not self._parser.has_begun:
            message = "The upstream closed an idle connection as the request was sent on it."
            return UpstreamUnavailable(message, code="conn_reused_retry", detail=detail)
        return UpstreamUnavailable("The upstream closed the connection without an answer.", detail=detail)

    def _fail(self, failure: HeadraceError) -> None:
        if self._parser.answer.failure is None:
            self._parser.answer.failure = failure
        self.drop()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Http1Exchange:
    """One response under way; the limit between blocks counts from the first one on."""

    __slots__ = ("_answer", "_between_seconds", "_connection", "_limit_seconds")

    def __init__(
        self, connection: Http1Connection, answer: Answer, first_seconds: float, between_seconds: float
    ) -> None:
        self._connection: Http1Connection | None = connection
        self._answer = answer
        self._limit_seconds = first_seconds
        self._between_seconds = between_seconds

    @property
    def status(self) -> int:
        """The upstream's HTTP status."""
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The upstream's headers; look-up ignores case."""
        return Fields(self._answer.fields)

    async def read(self) -> bytes | None:
        """Return what has come, or None at a clean end; raises UpstreamError after all that came was given out."""
        answer, connection = self._answer, self._connection
        if connection is None:
            raise AssertionError("the exchange is closed")
        if not (answer.blocks or answer.is_complete or answer.failure):
            connection.limit(self._limit_seconds)
            while not (answer.blocks or answer.is_complete or answer.failure):
                await connection.news()
        if answer.blocks:
            self._limit_seconds = self._between_seconds
            block = answer.take()
            connection.drained()
            return block
        if answer.failure is not None:
            raise answer.failure
        return None

    async def close(self) -> None:
        """Give the connection back when the answer came whole, otherwise drop it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.finished(self._answer)
