"""The port to the caller's connection: a reply is started once, written, and ended or broken off."""

from __future__ import annotations

from typing import Protocol


class Sink(Protocol):
    """Where a turn's reply goes."""

    @property
    def started(self) -> bool:
        """Whether status and headers have left."""
        ...

    @property
    def gone(self) -> bool:
        """Whether the caller has left."""
        ...

    @property
    def departure(self) -> str | None:
        """How the caller left: "client_closed" or "slow_reader"; None while the caller is there."""
        ...

    async def start(self, status: int, headers: tuple[tuple[str, str], ...]) -> None:
        """Send status and headers; once."""
        ...

    async def write(self, block: bytes) -> None:
        """Send bytes, waiting while the caller is slow to read."""
        ...

    async def end(self, block: bytes) -> None:
        """Send the last bytes and end the reply properly."""
        ...

    async def break_off(self, block: bytes) -> None:
        """Send the last bytes and end the transfer visibly incomplete."""
        ...
