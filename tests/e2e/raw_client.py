"""An HTTP client that shows what came over the socket, also of a reply that broke off; it reads no events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import httptools

BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class RawReply:
    """One reply: `whole` says that HTTP's own end was seen; status 0 means that not even a status line came."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    whole: bool = False

    @property
    def request_id(self) -> str | None:
        """The request's id, when headers came."""
        return self.headers.get("x-request-id")


class _Parts:
    """What the parser has told so far."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.has_headers = False
        self.whole = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.has_headers = True

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole = True


class RawClient:
    """One connection to a local port, kept alive from one request to the next while the server keeps it."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: Mapping[str, object]) -> RawReply:
        """Send a JSON body and read the reply as far as it comes; raises no error of the connection."""
        return await self.ask("POST", path, body)

    async def ask(self, method: str, path: str, body: Mapping[str, object]) -> RawReply:
        """Send a JSON body by any method; otherwise like `post`."""
        payload = json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {self._token}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(payload)}\r\n\r\n"
        )
        parts = _Parts()
        parser = httptools.HttpResponseParser(parts)
        try:
            await self._exchange(head.encode() + payload, parser, parts)
        except OSError:
            self.close()
        if not (parts.whole and parser.should_keep_alive()):
            self.close()
        status = parser.get_status_code() if parts.has_headers else 0
        return RawReply(status, parts.headers, bytes(parts.body), parts.whole)

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _exchange(self, request: bytes, parser: httptools.HttpResponseParser, parts: _Parts) -> None:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        while not parts.whole:
            block = await reader.read(BLOCK_BYTES)
            if not block:
                return
            parser.feed_data(block)
