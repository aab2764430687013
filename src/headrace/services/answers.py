"""The beginning of an upstream's answer: its name and status judged, its first meaningful event waited for."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.errors import UpstreamProtocol, UpstreamTruncated
from headrace.ports.upstream import Adapter, Exchange, Reader

MAX_ERROR_BYTES = 64 * 1024
MAX_REQUEST_ID_CHARS = 128


async def check_status(exchange: Exchange, adapter: Adapter) -> None:
    """Raise the failure behind any status but a success."""
    if exchange.status < 300:
        return
    if exchange.status < 400:
        raise UpstreamProtocol(f"The upstream answered with a redirect ({exchange.status}), which is not followed.")
    body = b""
    while len(body) < MAX_ERROR_BYTES and (block := await exchange.read()) is not None:
        body += block
    raise adapter.failure(exchange.status, exchange.headers, body)


async def first_event(exchange: Exchange, reader: Reader) -> bytes:
    """Return what may leave once content has come; raises the failure of an answer that ends without any."""
    out = b""
    while not (reader.meaningful or reader.ended or reader.failure):
        block = await exchange.read()
        if block is None:
            reader.close()
            break
        out += reader.feed(block)
    if not reader.meaningful:
        raise reader.failure or UpstreamTruncated("The upstream's answer was empty.")
    return out


def upstream_request_id(headers: Mapping[str, str]) -> str | None:
    """Return the upstream's own name of the request, cut and cleaned so that any store takes it."""
    text = (headers.get("x-request-id") or headers.get("request-id", ""))[:MAX_REQUEST_ID_CHARS]
    return text.encode("ascii", "replace").decode() or None
