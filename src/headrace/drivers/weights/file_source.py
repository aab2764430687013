"""Weights that lie on this machine already: `file:/PATH` addresses, taken from there by a link, else by copying."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from headrace.domain.catalog import WeightsFile
from headrace.domain.errors import HomeUnusable, UpstreamUnavailable
from headrace.drivers.weights.partial import BLOCK_BYTES, PartialFile

SCHEME = "file:"


class FileSource:
    """Copies a file of this machine; the store comes here only where it could not link to it."""

    def serves(self, address: str) -> bool:
        """Whether the address names a file of this machine."""
        return address.startswith(SCHEME)

    def scratch_bytes(self, size_bytes: int) -> int:
        """Nothing is kept beside the file."""
        return 0

    async def fetch(self, address: str, partial: PartialFile, scratch: Path) -> None:
        """Copy the file; raises UpstreamUnavailable with the reason."""
        path = Path(address.removeprefix(SCHEME))
        run = partial.offload.run
        try:
            with await run(_open, path) as content:
                await partial.restart()
                while block := await run(content.read, BLOCK_BYTES):
                    await partial.write(block)
        except OSError as error:
            raise UpstreamUnavailable(f"It cannot be read ({error.strerror}).") from error


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def linkable(file: WeightsFile) -> Iterator[Path]:
    """Yield the paths of a file's addresses where something of the right size lies."""
    paths = [Path(each.removeprefix(SCHEME)) for each in file.sources if each.startswith(SCHEME)]
    yield from (each for each in paths if _file_size(each) == file.size_bytes)


def _file_size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def sha256_of(path: Path, watch: Callable[[int], None]) -> str:
    """Return a file's hash; `watch` hears how many bytes were read. Raises OSError."""
    digest = hashlib.sha256()
    done = 0
    with path.open("rb", buffering=0) as content:
        while block := content.read(BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            watch(done)
    return digest.hexdigest()


def link(path: Path, place: Path) -> None:
    """Make a place lead to a file, whatever led there before; raises HomeUnusable."""
    draft = place.with_name(f".{place.name}.link")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        draft.symlink_to(path)
        os.replace(draft, place)
    except OSError as error:
        raise HomeUnusable(f"{place}: no link to {path} can be made ({error.strerror}).") from error
