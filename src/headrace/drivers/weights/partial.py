"""A file of weights while it is being fetched: appended, hashed on the way, accepted only as a whole.

Choosing a source and placing the accepted file are the store's.
"""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

from headrace.domain.catalog import WeightsFile
from headrace.domain.errors import UpstreamProtocol
from headrace.drivers.weights.meter import Meter
from headrace.ports.ambient import Offload

BLOCK_BYTES = 1 << 20


class PartialFile:
    """Bytes of one file so far; `open` it first and `close` it in any case.

    Blocking work runs in the pool under a lock, so a cancelled fetch never writes behind the next one's back.
    """

    def __init__(self, path: Path, file: WeightsFile, meter: Meter, offload: Offload) -> None:
        self.path = path
        self.file = file
        self.meter = meter
        self.offload = offload
        self.position = 0
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()
        self._descriptor: int | None = None

    async def open(self) -> None:
        """Open the file and take over what an earlier try left; raises OSError."""
        await self.offload.run(self._open)
        self.meter.show(self.position)

    async def write(self, block: bytes) -> None:
        """Append a block; raises UpstreamProtocol past the known size, OSError when the disk fails."""
        if self.position + len(block) > self.file.size_bytes:
            await self.restart()
            raise UpstreamProtocol(f"It sent more than the expected {self.file.size_bytes} bytes.")
        await self.offload.run(self._append, block)
        self.meter.show(self.position)

    async def restart(self) -> None:
        """Drop what is here."""
        await self.offload.run(self._truncate)

    async def check(self) -> None:
        """Raise UpstreamProtocol unless the file is whole and right; a whole but wrong one is dropped."""
        size = self.file.size_bytes
        if self.position != size:
            raise UpstreamProtocol(f"It ended after {self.position} of {size} bytes.")
        found = self._digest.hexdigest()
        if found != self.file.sha256:
            await self.restart()
            raise UpstreamProtocol(f"Its sha256 is {found}, expected {self.file.sha256}; it was deleted.")

    async def accept(self, destination: Path) -> None:
        """Make the checked file durable and move it to its place in one step."""
        await self.offload.run(self._accept, destination)

    def close(self) -> None:
        """Close the file; an empty one leaves nothing behind."""
        with self._lock:
            if self._descriptor is None:
                return
            os.close(self._descriptor)
            self._descriptor = None
        if self.position == 0:
            self.path.unlink(missing_ok=True)

    def _open(self) -> None:
        with self._lock:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            while block := os.read(self._descriptor, BLOCK_BYTES):
                self._digest.update(block)
                self.position += len(block)
        if self.position > self.file.size_bytes:
            self._truncate()

    def _append(self, block: bytes) -> None:
        with self._lock:
            if self._descriptor is None:
                return
            view = memoryview(block)
            while view:
                view = view[os.write(self._descriptor, view) :]
            self._digest.update(block)
            self.position += len(block)

    def _truncate(self) -> None:
        with self._lock:
            if self._descriptor is None:
                return
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            self._digest = hashlib.sha256()
            self.position = 0

    def _accept(self, destination: Path) -> None:
        with self._lock:
            if self._descriptor is None:
                return
            os.fchmod(self._descriptor, 0o444)
            os.fsync(self._descriptor)
            destination.parent.mkdir(parents=True, exist_ok=True)
            self.path.replace(destination)
        folder = os.open(destination.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
