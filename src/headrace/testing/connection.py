"""One connection of the fake upstream: parses requests and writes replies; chooses none of them."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http.client import responses
from typing import Protocol, cast

import httptools

from headrace.testing.billing import BillingLog, Ended, EndingKind, received_entry
from headrace.testing.script import Answer, Reply, UpstreamRequest


class Upstream(Protocol):
    """What a connection needs from the server that accepted it."""

    log: BillingLog
    sleep: Callable[[float], Awaitable[None]]
    unix_micros: Callable[[], int]

    @property
    def answer(self) -> Answer:
        """The script."""
        ...

    def receive(self, request: UpstreamRequest) -> None:
        """Keep a request for the test to look at."""
        ...

    def opened(self, connection: "Connection") -> int:
        """Count a connection in and number it."""
        ...

    def next_number(self) -> int:
        """The number for a new request."""
        ...

    def closed(self, connection: "Connection", failure: BaseException | None) -> None:
        """Count a connection out, with the defect of the script that ended it."""
        ...


@dataclass(slots=True)
class _Progress:
    """How far one reply has come."""

    reply: Reply | None = None
    status: int | None = None
    sent_bytes: int = 0
    stalled: bool = False


@dataclass(slots=True)
class _Head:
    """A request that is still arriving."""

    url: bytes
    headers: list[tuple[str, str]]
    body: bytearray


class Connection(asyncio.Protocol):
    """An HTTP/1.1 connection that answers one request after the other from the script."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream: Upstream = upstream
        self._parser: httptools.HttpRequestParser = httptools.HttpRequestParser(self)
        self._head: _Head = _Head(b"", [], bytearray())
        self._waiting: deque[tuple[UpstreamRequest, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._writable: asyncio.Event = asyncio.Event()
        self._number: int = 0
        self._client_left: bool = False
        self._transport: asyncio.Transport | None = None

    @property
    def transport(self) -> asyncio.Transport:
        """The socket's transport; only there while connected."""
        if self._transport is None:
            raise ConnectionError("The connection is not open.")
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to serve an accepted socket."""
        self._transport = cast("asyncio.Transport", transport)
        # Under TLS asyncio pauses at the mark, not beyond it: with 0 it would never resume.
        self._transport.set_write_buffer_limits(high=1 if transport.get_extra_info("sslcontext") else 0)
        self._writable.set()
        self._number = self._upstream.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop what is being answered: the caller is gone, or we closed."""
        self._client_left = True
        self._writable.set()
        if self._task is None:
            self._upstream.closed(self, None)
        else:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Wait: the socket takes no more bytes."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on: the socket has taken all bytes."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what is not HTTP gets a 400 and the door."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begin a request (called by the parser)."""
        self._head = _Head(b"", [], bytearray())

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target (called by the parser)."""
        self._head.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header (called by the parser)."""
        self._head.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Invite the body where the caller waits for it (called by the parser)."""
        if ("expect", "100-continue") in self._head.headers:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body (called by the parser)."""
        self._head.body += body

    def on_message_complete(self) -> None:
        """Log the request and answer it in its turn (called by the parser)."""
        path, _, query = self._head.url.decode("latin-1").partition("?")
        request = UpstreamRequest(
            number=self._upstream.next_number(),
            connection=self._number,
            method=self._parser.get_method().decode("ascii"),
            path=path,
            query=query,
            headers=tuple(self._head.headers),
            body=bytes(self._head.body),
        )
        self._upstream.log.append(received_entry(request, self._upstream.unix_micros()))
        self._upstream.receive(request)
        self._waiting.append((request, self._parser.should_keep_alive()))
        self._serve_waiting()

    def stop(self) -> None:
        """End the connection because the upstream itself shuts down."""
        if self._task is not None:
            self._task.cancel()
        self.transport.abort()

    def _serve_waiting(self) -> None:
        if self._task is None and self._waiting and not self.transport.is_closing():
            self._task = asyncio.get_running_loop().create_task(self._serve(*self._waiting.popleft()))
            self._task.add_done_callback(self._served)

    async def _serve(self, request: UpstreamRequest, keep_alive: bool) -> None:
        ending = await self._account(request)
        if ending != "complete" or not keep_alive:
            self.transport.close()

    def _served(self, task: asyncio.Task[None]) -> None:
        self._task = None
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self.transport.abort()
        if failure is not None or self._client_left:
            self._upstream.closed(self, failure)
        self._serve_waiting()

    async def _account(self, request: UpstreamRequest) -> EndingKind:
        progress = _Progress()
        ending: EndingKind = "failed"
        try:
            ending = await self._reply(request, progress)
        except asyncio.CancelledError:
            ending = "client_left" if self._client_left else "stalled" if progress.stalled else "stopped"
            raise
        finally:
            self._upstream.log.append(self._ended(request, progress, ending))
        return ending

    async def _reply(self, request: UpstreamRequest, progress: _Progress) -> EndingKind:
        reply = progress.reply = self._upstream.answer(request)
        if reply.headers_gate is not None:
            await reply.headers_gate.passage()
        if reply.delay_before_headers_seconds:
            await self._upstream.sleep(reply.delay_before_headers_seconds)
        if reply.fault is not None and reply.fault.before_headers:
            return await self._fail(reply, progress)
        await self._write(_head_bytes(reply, request))
        progress.status = reply.status
        await self._write_body(reply, progress)
        if reply.fault is not None:
            return await self._fail(reply, progress)
        if reply.framing == "chunked":
            await self._write(b"0\r\n\r\n")
        if reply.closes:
            self.transport.close()
        return "complete"

    async def _write_body(self, reply: Reply, progress: _Progress) -> None:
        for place, write in enumerate(reply.writes()):
            if write.gate is not None:
                await write.gate.passage()
            if place and reply.delay_between_writes_seconds:
                await self._upstream.sleep(reply.delay_between_writes_seconds)
            if not write.data:
                continue
            framed = b"%x\r\n%b\r\n" % (len(write.data), write.data) if reply.framing == "chunked" else write.data
            await self._write(framed)
            progress.sent_bytes += len(write.data)

    async def _write(self, data: bytes) -> None:
        self.transport.write(data)
        await self._writable.wait()
        if self._client_left:
            raise asyncio.CancelledError

    async def _fail(self, reply: Reply, progress: _Progress) -> EndingKind:
        kind = reply.fault.kind if reply.fault is not None else "cut"
        if kind == "stall":
            progress.stalled = True
            await asyncio.get_running_loop().create_future()
        if kind == "reset":
            sock = cast("socket.socket", self.transport.get_extra_info("socket"))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
            return "reset"
        self.transport.close()
        return "cut"

    def _ended(self, request: UpstreamRequest, progress: _Progress, ending: EndingKind) -> Ended:
        reply = progress.reply or Reply()
        billed = progress.status is not None
        return Ended(
            number=request.number,
            request_id=request.header("x-request-id"),
            attempt_id=request.header("x-headrace-attempt"),
            model=request.model,
            status=progress.status,
            ending=ending,
            stalled=progress.stalled,
            sent_bytes=progress.sent_bytes,
            sent_frames=sum(end <= progress.sent_bytes for end in reply.frame_starts[1:]),
            prompt_tokens=reply.prompt_tokens if billed else 0,
            completion_tokens=reply.billed_tokens(progress.sent_bytes) if billed else 0,
            at_unix_micros=self._upstream.unix_micros(),
        )


def _head_bytes(reply: Reply, request: UpstreamRequest) -> bytes:
    reason = responses.get(reply.status, "Scripted")
    headers = {"x-request-id": f"fake-upstream-{request.number}"} | dict(reply.headers)
    if reply.framing == "chunked":
        headers["transfer-encoding"] = "chunked"
    elif reply.framing == "length":
        headers["content-length"] = str(len(reply.body))
    else:
        headers["connection"] = "close"
    lines = [f"HTTP/1.1 {reply.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
