"""An upstream that speaks several dialects itself: one adapter for each, chosen by the call's."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.call import Call, Dialect
from headrace.domain.errors import HeadraceError
from headrace.domain.plan import Deadlines, Endpoint, Target
from headrace.ports.upstream import Adapter, Exchange, Prepared, Reader, Transport


class SpokenDialects:
    """Serves each dialect by its own adapter and all others by `default`; they send and fail alike."""

    def __init__(self, default: Adapter, own: Mapping[Dialect, Adapter]) -> None:
        self._default = default
        self._own = own

    def prepare(self, call: Call, target: Target) -> Prepared:
        """Return the request of the dialect's own adapter."""
        return self._adapter(call).prepare(call, target)

    async def open(
        self, transport: Transport, endpoint: Endpoint, prepared: Prepared, deadlines: Deadlines
    ) -> Exchange:
        """Send the request."""
        return await self._default.open(transport, endpoint, prepared, deadlines)

    def reader(self, call: Call, target: Target) -> Reader:
        """Return the reader of the dialect's own adapter."""
        return self._adapter(call).reader(call, target)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> HeadraceError:
        """Name the failure behind a status of 400 or more."""
        return self._default.failure(status, headers, body)

    def _adapter(self, call: Call) -> Adapter:
        return self._own.get(call.dialect, self._default)
