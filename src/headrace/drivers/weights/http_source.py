"""Weights from web addresses: which host is worth a try; the download itself is http_download's."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from headrace.domain.errors import UpstreamError, UpstreamUnavailable
from headrace.drivers.weights.partial import PartialFile
from headrace.ports.ambient import Clock

if TYPE_CHECKING:
    from headrace.drivers.weights.http_download import Limits

CONNECT_SECONDS = 3.0
HEAD_SECONDS = 15.0
STALL_SECONDS = 30.0
UNREACHABLE_SECONDS = 60.0


class _Download(Protocol):
    """The module http_download, as far as it is used here."""

    UNREACHABLE: str

    def limits(self, connect_seconds: float, head_seconds: float, stall_seconds: float) -> Limits: ...

    async def download(self, address: str, partial: PartialFile, limits: Limits) -> None: ...


class HttpSource:
    """Fetches from web addresses; a host that did not answer is not tried again for a minute."""

    def __init__(
        self,
        clock: Clock,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        head_seconds: float = HEAD_SECONDS,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._clock = clock
        self._seconds = (connect_seconds, head_seconds, stall_seconds)
        self._unreachable_until: dict[str, float] = {}

    def serves(self, address: str) -> bool:
        """Whether this is a web address."""
        return address.startswith(("https://", "http://"))

    def scratch_bytes(self, size_bytes: int) -> int:
        """Nothing is kept beside the file."""
        return 0

    async def fetch(self, address: str, partial: PartialFile, scratch: Path) -> None:
        """Download from the partial file's position on; raises UpstreamError or ConfigInvalid."""
        host = address.partition("://")[2].partition("/")[0]
        if self._clock.monotonic() < self._unreachable_until.get(host, 0.0):
            raise UpstreamUnavailable(f"{host} could not be reached a moment ago.")
        http = await partial.offload.run(_load)
        try:
            await http.download(address, partial, http.limits(*self._seconds))
        except UpstreamError as error:
            if error.code == http.UNREACHABLE:
                self._unreachable_until[host] = self._clock.monotonic() + UNREACHABLE_SECONDS
            raise


def _load() -> _Download:
    # The HTTP client takes a third of the time that the whole server may need to be imported.
    return cast("_Download", importlib.import_module("headrace.drivers.weights.http_download"))
