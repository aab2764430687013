"""The server with its guarded protocol around a small application, in the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

from headrace.drivers.tls.authority import ServerCertificate
from headrace.http.connections import ConnectionLimits
from headrace.http.edge import CallerLeft, Receive, Scope, Send, link_of, read_body
from headrace.http.server import GatewayServer, Listening, bind, make_server
from headrace.http.sink import AsgiSink
from headrace.ports.observer import AttemptEnd, RequestEnd
from headrace.testing.clock import FakeIds

BLOCK = b"x" * 65_536
READ_BYTES = 65_536


@dataclass
class EdgeServer:
    """A running server; `seen` has each request that the application was given whole."""

    limits: ConnectionLimits
    port: int = 0
    server: GatewayServer | None = None
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(
        default_factory=list[tuple[str, str, dict[str, str], bytes]]
    )
    ended: list[RequestEnd] = field(default_factory=list[RequestEnd])
    departures: list[str | None] = field(default_factory=list["str | None"])
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    def request_ended(self, end: RequestEnd) -> None:
        """Keep what the protocol tells of a request that no route saw."""
        self.ended.append(end)

    def attempt_ended(self, end: AttemptEnd) -> None:
        """There are none here."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Echo a request, refuse it unread, or stream without end."""
        self.entered.set()
        sink = AsgiSink(receive, send, "req_1", link_of(scope))
        if scope["path"] == "/stream":
            await self._stream(sink)
            return
        if scope["path"] == "/early":
            await sink.reply(401, (), b"{}")
            return
        with contextlib.suppress(CallerLeft):
            body = await read_body(scope, receive, 1024 * 1024)
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            self.seen.append((scope["method"], scope["path"], headers, body))
            await sink.reply(200, (), json.dumps({"path": scope["path"], "body": body.decode("latin-1")}).encode())

    async def _stream(self, sink: AsgiSink) -> None:
        task = asyncio.current_task()
        assert task is not None
        watch = sink.watch(task)
        try:
            await sink.start(200, ())
            while True:
                await sink.write(BLOCK)
        except asyncio.CancelledError:
            self.departures.append(sink.departure)
            self.left.set()
        finally:
            watch.end()

    async def send(self, data: bytes) -> bytes:
        """Send raw bytes on a connection of their own and return all that comes until the server closes it."""
        reader, writer = await self.connect()
        writer.write(data)
        try:
            return await reader.read(-1)
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection."""
        return await asyncio.open_connection("127.0.0.1", self.port, limit=READ_BYTES)


@contextlib.asynccontextmanager
async def edge_server(
    limits: ConnectionLimits, certificate: ServerCertificate | None = None
) -> AsyncGenerator[EdgeServer]:
    """Run a server with these limits on a free port; with a certificate it speaks TLS."""
    edge = EdgeServer(limits)
    listening = Listening("127.0.0.1", 0, drain_seconds=2, limits=limits)
    if certificate is not None:
        files = (str(certificate.certificate_file), str(certificate.key_file))
        listening = replace(listening, certificate_file=files[0], key_file=files[1])
    listener = bind(listening, lambda _: None)
    edge.port = int(listener.getsockname()[1])
    edge.server = make_server(edge, listening, FakeIds(), edge)
    serving = asyncio.get_running_loop().create_task(edge.server.serve(sockets=[listener]))
    try:
        yield edge
    finally:
        edge.server.drain()
        await serving
