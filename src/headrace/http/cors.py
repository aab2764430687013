"""Cross-origin requests of browsers: off without an allow-list; cookies are never a credential here.

Source: Fetch Standard, "CORS protocol" (read 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Collection

from headrace.http.edge import Message, Receive, Scope, Send, headers_named
from headrace.http.gateway import AsgiApp
from headrace.services.reply_headers import ROUTING_HEADERS
from headrace.wire.rate_headers import ANTHROPIC_NAMES, NAMES

PREFLIGHT_SECONDS = b"600"
METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
EXPOSED = (
    b"x-request-id, retry-after, x-should-retry, etag, x-headrace-model, x-headrace-provider, x-headrace-attempts, "
    b"x-headrace-dropped, x-headrace-cost-usd, x-headrace-cost-nano-usd, x-headrace-clamped, idempotency-replayed, "
) + ", ".join((*sorted(ROUTING_HEADERS), *NAMES, *ANTHROPIC_NAMES)).encode()


class CrossOrigin:
    """Lets browsers read replies for the pages of some origins, each written as the browser sends it."""

    def __init__(self, app: AsgiApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origin.encode("latin-1") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or serve a request and say in the reply who may read it."""
        origins = headers_named(scope, b"origin") if scope["type"] == "http" else []
        if not origins:
            await self._app(scope, receive, send)
            return
        allowed = origins[0] if len(origins) == 1 and origins[0] in self._origins else None
        asked = headers_named(scope, b"access-control-request-method")
        if scope["method"] == "OPTIONS" and asked:
            await _preflight(scope, send, allowed)
            return
        await self._app(scope, receive, _telling(send, allowed))


async def _preflight(scope: Scope, send: Send, allowed: bytes | None) -> None:
    headers = [(b"vary", b"origin"), (b"content-length", b"0")]
    if allowed is not None:
        wanted = headers_named(scope, b"access-control-request-headers")
        headers += [
            (b"access-control-allow-origin", allowed),
            (b"access-control-allow-methods", METHODS),
            (b"access-control-max-age", PREFLIGHT_SECONDS),
            *((b"access-control-allow-headers", each) for each in wanted[:1]),
        ]
    await send({"type": "http.response.start", "status": 204 if allowed is not None else 403, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _telling(send: Send, allowed: bytes | None) -> Send:
    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"].append((b"vary", b"origin"))
            if allowed is not None:
                message["headers"].append((b"access-control-allow-origin", allowed))
                message["headers"].append((b"access-control-expose-headers", EXPOSED))
        await send(message)

    return telling
