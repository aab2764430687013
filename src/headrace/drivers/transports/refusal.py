"""A refusal's body without the operator's credential, which some upstreams repeat in their error texts."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.secret import Secret
from headrace.ports.upstream import Exchange

MAX_REFUSAL_BYTES = 64 * 1024
HIDDEN = b"[hidden]"


class CleanedRefusal:
    """The exchange of a refused request; its body comes as one block, cut at a limit."""

    def __init__(self, exchange: Exchange, auth_value: Secret) -> None:
        self._exchange = exchange
        self._secret = auth_value.reveal().rpartition(" ")[2].encode()
        self._is_read = False

    @property
    def status(self) -> int:
        """The upstream's HTTP status."""
        return self._exchange.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The upstream's headers; look-up ignores case."""
        return self._exchange.headers

    async def read(self) -> bytes | None:
        """Return the whole body once; raises UpstreamError."""
        if self._is_read:
            return None
        self._is_read = True
        body = b""
        while len(body) < MAX_REFUSAL_BYTES and (block := await self._exchange.read()) is not None:
            body += block
        return body.replace(self._secret, HIDDEN)[:MAX_REFUSAL_BYTES] or None

    async def close(self) -> None:
        """Drop the connection unless the body was read to its end."""
        await self._exchange.close()
