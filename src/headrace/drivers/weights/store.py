"""The content-addressed store of weights under the home; how bytes are fetched is the sources'.

`HOME/weights/sha256/ab/<hex>` holds verified files, `HOME/weights/partial/` what is under way.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from headrace.domain.catalog import WeightsFile
from headrace.domain.errors import (
    ConfigInvalid,
    Conflict,
    HomeUnusable,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from headrace.drivers.weights.file_source import link, linkable
from headrace.drivers.weights.meter import Meter
from headrace.drivers.weights.partial import BLOCK_BYTES, PartialFile
from headrace.drivers.weights.source import Source
from headrace.ports.ambient import Clock, Offload
from headrace.ports.fleet import Progress

SPARE_BYTES = 64 * 1024 * 1024
LOCK_POLL_SECONDS = 0.2
MAX_TRIES = 5


@dataclass(slots=True)
class _Pull:
    """Everybody in this process who waits for one file; `turn` is held by the one who fetches it."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    listeners: list[Callable[[Progress], None]] = field(default_factory=list[Callable[[Progress], None]])
    failure: UpstreamError | HomeUnusable | None = None


def verified_place(home: Path, sha256: str) -> Path:
    """Return where a home keeps the verified file of a hash."""
    return home / "weights" / "sha256" / sha256[:2] / sha256


def free_bytes(folder: Path) -> int:
    """Return the space left on a folder's file system."""
    return shutil.disk_usage(folder).free


class WeightsStore:
    """Weights by their sha256: fetched from the first source that delivers the right bytes, kept for good.

    A file of this machine is not copied: its place here is a link to where it lies.
    """

    def __init__(
        self,
        home: Path,
        sources: Sequence[Source],
        clock: Clock,
        offload: Offload,
        free_bytes: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._home = home
        self._verified = home / "weights" / "sha256"
        self._partial = home / "weights" / "partial"
        self._sources = tuple(sources)
        self._clock = clock
        self._offload = offload
        self._free_bytes = free_bytes
        self._pulls: dict[str, _Pull] = {}

    def path(self, file: WeightsFile) -> Path | None:
        """Return where the verified file lies, or None when it is not here."""
        place = self._place(file)
        try:
            return place if place.stat().st_size == file.size_bytes else None
        except OSError:
            return None

    async def verify(self, file: WeightsFile) -> bool:
        """Read the stored file again and tell whether it is still what its name says."""
        place = self.path(file)
        return place is not None and await self._offload.run(_sha256, place) == file.sha256

    async def pull(self, file: WeightsFile, report: Callable[[Progress], None]) -> Path:
        """Fetch, verify and store a file; callers of the same file share one download.

        Raises UpstreamUnavailable naming every source that failed, HomeUnusable when the disk is too small.
        """
        found = self.path(file)
        if found is not None:
            return found
        pull = self._pulls.setdefault(file.sha256, _Pull())
        pull.listeners.append(report)
        try:
            async with pull.turn:
                return await self._take_turn(file, pull)
        finally:
            pull.listeners.remove(report)
            if not pull.listeners:
                self._pulls.pop(file.sha256, None)

    async def remove(self, file: WeightsFile) -> int:
        """Delete a file or what was begun of it, and return the bytes that become free; of a link only the link.

        Raises Conflict while it is being fetched, by whatever process; HomeUnusable when it cannot be deleted.
        """
        if file.sha256 in self._pulls:
            raise _fetching(file)
        return await self._offload.run(self._remove, file)

    def _remove(self, file: WeightsFile) -> int:
        try:
            self._prepare_folders()
            descriptor = os.open(self._lock_path(file), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if not _lock(descriptor):
                    raise _fetching(file)
                freed = sum(_removed(each) for each in (self._place(file), self._partial / f"{file.sha256}.part"))
                shutil.rmtree(self._partial / f"{file.sha256}.d", ignore_errors=True)
                self._lock_path(file).unlink(missing_ok=True)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise HomeUnusable(f"{file.name} cannot be deleted from {self._home} ({error.strerror}).") from error
        return freed

    async def _take_turn(self, file: WeightsFile, pull: _Pull) -> Path:
        if pull.failure is not None:
            raise pull.failure
        meter = Meter(file, pull.listeners, self._clock)
        try:
            self._prepare_folders()
            async with self._locked(file, meter):
                return self.path(file) or await self._linked(file, meter) or await self._fetch(file, meter)
        except (UpstreamError, HomeUnusable) as error:
            pull.failure = error
            raise
        except OSError as error:
            pull.failure = _unwritable(self._partial, error)
            raise pull.failure from error

    async def _linked(self, file: WeightsFile, meter: Meter) -> Path | None:
        """Return the file's place after linking it to where its right bytes lie on this machine, if they do."""
        for path in linkable(file):
            try:
                if await self._offload.run(_sha256, path) == file.sha256:
                    await self._offload.run(link, path, self._place(file))
                    meter.show(file.size_bytes)
                    return self._place(file)
            except (OSError, HomeUnusable):
                continue
        return None

    async def _fetch(self, file: WeightsFile, meter: Meter) -> Path:
        partial = PartialFile(self._partial / f"{file.sha256}.part", file, meter, self._offload)
        scratch = self._partial / f"{file.sha256}.d"
        try:
            await partial.open()
            await self._fill(file, partial, scratch)
            await partial.accept(self._place(file))
        finally:
            partial.close()
        await self._offload.run(shutil.rmtree, scratch, ignore_errors=True)
        self._lock_path(file).unlink(missing_ok=True)
        return self._place(file)

    async def _fill(self, file: WeightsFile, partial: PartialFile, scratch: Path) -> None:
        """Leave `partial` whole and right, or raise; a file put there by hand needs no source."""
        self._check_space(file.size_bytes - partial.position)
        reasons: list[str] = []
        if partial.position == file.size_bytes:
            reason = await self._checked(partial)
            if reason is None:
                return
            reasons.append(f"{partial.path}: {reason}")
        for address in file.sources:
            reason = await self._try(address, partial, scratch)
            if reason is None:
                return
            reasons.append(f"{address}: {reason}")
        raise _exhausted(file, partial.path, reasons)

    async def _try(self, address: str, partial: PartialFile, scratch: Path) -> str | None:
        """Return None when the source delivered, otherwise why not; goes on as long as a try brings bytes."""
        source = next((each for each in self._sources if each.serves(address)), None)
        if source is None:
            return "No source of this kind is known."
        need = source.scratch_bytes(partial.file.size_bytes)
        if need and self._free_bytes(self._partial) < need + partial.file.size_bytes + SPARE_BYTES:
            return f"It needs {_megabytes(need + partial.file.size_bytes)} of disk space while it is fetched."
        reason = ""
        for _ in range(MAX_TRIES):
            began_at = partial.position
            try:
                await source.fetch(address, partial, scratch)
            except (UpstreamUnavailable, UpstreamTimeout) as error:
                reason = error.message
                if partial.position > began_at:
                    continue
                return reason
            except (UpstreamError, ConfigInvalid) as error:
                return error.message
            found = await self._checked(partial)
            if found is not None:
                await self._offload.run(shutil.rmtree, scratch, ignore_errors=True)
            # A mismatch after a resume may be the older part's fault: once more, from the start.
            if found is None or not began_at:
                return found
            reason = found
        return reason

    async def _checked(self, partial: PartialFile) -> str | None:
        try:
            await partial.check()
        except UpstreamError as error:
            return error.message
        return None

    @asynccontextmanager
    async def _locked(self, file: WeightsFile, meter: Meter) -> AsyncGenerator[None]:
        """Keep other processes out of this file's download; while one has it, show how far it is."""
        descriptor = os.open(self._lock_path(file), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not _lock(descriptor):
                await asyncio.sleep(LOCK_POLL_SECONDS)
                meter.show(_size(self._partial / f"{file.sha256}.part"))
            yield
        finally:
            os.close(descriptor)

    def _prepare_folders(self) -> None:
        for folder in (self._verified, self._partial):
            folder.mkdir(parents=True, exist_ok=True)

    def _check_space(self, need_bytes: int) -> None:
        free = self._free_bytes(self._partial)
        if free < need_bytes + SPARE_BYTES:
            raise HomeUnusable(
                f"{_megabytes(need_bytes + SPARE_BYTES)} are needed in {self._partial},"
                f" {_megabytes(free)} are free; make room or choose another home with --home."
            )

    def _place(self, file: WeightsFile) -> Path:
        return verified_place(self._home, file.sha256)

    def _lock_path(self, file: WeightsFile) -> Path:
        return self._partial / f"{file.sha256}.lock"


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _removed(path: Path) -> int:
    """Delete a file, if it is there, and return the bytes that become free: none while it lies elsewhere too."""
    try:
        taken = 0 if path.is_symlink() or path.stat().st_nlink > 1 else path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    return taken


def _fetching(file: WeightsFile) -> Conflict:
    return Conflict(f"{file.name} is being fetched now; wait until it is here.", code="pull_running")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1_000_000:,.0f} MB"


def _unwritable(folder: Path, error: OSError) -> HomeUnusable:
    what = "The disk is full" if error.errno == errno.ENOSPC else "Weights cannot be written"
    return HomeUnusable(f"{what}: {folder}: {error.strerror or error}; make room or choose another --home.")


def _exhausted(file: WeightsFile, by_hand: Path, reasons: Sequence[str]) -> UpstreamUnavailable:
    tried = "".join(f"\n  - {reason}" for reason in reasons) or "\n  - it has no source"
    return UpstreamUnavailable(
        f"{file.name} ({_megabytes(file.size_bytes)}) could not be fetched:{tried}\n"
        f"Check network and proxy settings and pull again. Without a network: put the file with sha256"
        f" {file.sha256} at {by_hand} and pull again; it is checked and taken from there."
    )
