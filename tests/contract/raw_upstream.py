"""An upstream that answers with the bytes it is told, cut where it is told: for answers that no server would send."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, TypeAlias

LOOP_TURNS_BETWEEN_PIECES = 4
Ending: TypeAlias = Literal["stay", "close", "reset"]


def trusting_nobody() -> ssl.SSLContext:
    """Return what a client without TLS needs; reading the system's authorities takes longer than most tests."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True)
class Played:
    """Bytes that leave as separate segments, and what follows them; `greets` does not wait for a request."""

    pieces: tuple[bytes, ...]
    then: Ending = "stay"
    greets: bool = False


@dataclass(frozen=True)
class RawRequest:
    """A request as it came."""

    head: bytes
    body: bytes


Script: TypeAlias = Callable[[RawRequest], Played]


class RawUpstream:
    """A loopback server without a grammar of its own."""

    def __init__(self, script: Played | Script, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.requests: list[RawRequest] = []
        self.accepted = 0
        self.open = 0
        self.alpn: list[str | None] = []
        self._host = host
        self._tls = tls
        self._changed = asyncio.Condition()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """Scheme, host and port."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'http' if self._tls is None else 'https'}://{host}:{self._port}"

    async def until(self, ready: Callable[[], bool]) -> None:
        """Wait until a connection's coming or going makes `ready()` true."""
        async with self._changed:
            await self._changed.wait_for(ready)

    async def __aenter__(self) -> "RawUpstream":
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._tls, backlog=512)
        self._port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self.accepted += 1
        self.open += 1
        tls = writer.get_extra_info("ssl_object")
        self.alpn.append(None if tls is None else tls.selected_alpn_protocol())
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            writer.transport.abort()
        async with self._changed:
            self._changed.notify_all()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        script = self.script
        if not (isinstance(script, Played) and script.greets):
            request = await read_request(reader)
            self.requests.append(request)
            script = script if isinstance(script, Played) else script(request)
        for piece in script.pieces:
            if writer.is_closing():
                return False
            writer.write(piece)
            await writer.drain()
            for _ in range(LOOP_TURNS_BETWEEN_PIECES):
                await asyncio.sleep(0)
        if script.then == "stay" and not script.greets:
            return True
        if script.then == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        else:
            writer.close()
        return False


async def read_request(reader: asyncio.StreamReader) -> RawRequest:
    """Read one request with a content length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return RawRequest(head, await reader.readexactly(int(length)))


def halves(answer: bytes, at: int) -> Played:
    """The answer in two segments."""
    return Played((answer[:at], answer[at:]))
