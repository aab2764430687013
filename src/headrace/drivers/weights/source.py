"""What a source of weights is to the store; the sources themselves are modules of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from headrace.drivers.weights.partial import PartialFile


class Source(Protocol):
    """One kind of address that weights can be fetched from."""

    def serves(self, address: str) -> bool:
        """Whether addresses of this form are this source's."""
        ...

    def scratch_bytes(self, size_bytes: int) -> int:
        """Return the disk space taken beside the file itself while a file of this size is fetched."""
        ...

    async def fetch(self, address: str, partial: PartialFile, scratch: Path) -> None:
        """Write the whole file into `partial`, going on from its position where the source can.

        `scratch` is a folder path for this file alone; what lies there is found again by the next try.
        Raises UpstreamError or ConfigInvalid with the reason; what was written stays for the next try.
        """
        ...
