"""Catalog files from the package and from the operator's folder; what they mean is not decided here."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

from headrace.domain.errors import ConfigInvalid
from headrace.wire.catalog_file import CatalogText

SHIPPED = "shipped"
LARGEST_BYTES = 4 * 1024 * 1024


def shipped_files() -> tuple[CatalogText, ...]:
    """Return the catalog files that ship in the package, by name."""
    folder = resources.files("headrace.catalog").joinpath("providers")
    found = sorted((each for each in folder.iterdir() if each.name.endswith(".toml")), key=lambda each: each.name)
    return tuple(
        CatalogText(f"{SHIPPED}/{each.name}", each.name.removesuffix(".toml"), "shipped", each.read_bytes())
        for each in found
    )


class CatalogFiles:
    """The shipped files and every `*.toml` right in the operator's folder, which need not exist."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self) -> tuple[CatalogText, ...]:
        """Return all files, shipped ones first; raises ConfigInvalid for a file that cannot be read."""
        return (*shipped_files(), *(read_file(path) for path in self._paths()))

    def digest(self) -> str:
        """Return a digest of names, sizes and times of change of the operator's files."""
        seen = hashlib.sha256()
        for path in self._paths():
            try:
                stat = path.stat()
            except OSError:
                continue
            seen.update(f"{path.name}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}\n".encode())
        return seen.hexdigest()

    def _paths(self) -> tuple[Path, ...]:
        if self._folder is None or not self._folder.is_dir():
            return ()
        return tuple(sorted(each for each in self._folder.glob("*.toml") if not each.name.startswith(".")))


def read_file(path: Path, largest_bytes: int = LARGEST_BYTES) -> CatalogText:
    """Return one of the operator's files; raises ConfigInvalid for one that cannot be read."""
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= largest_bytes else b""
    except FileNotFoundError as error:
        raise ConfigInvalid(
            f"{path}: cannot be read (there is no such file). Look at the path, and where a link leads."
        ) from error
    except OSError as error:
        raise ConfigInvalid(
            f"{path}: cannot be read ({error.strerror}). "
            "Make it readable for the user that runs Headrace, or move it away."
        ) from error
    if size > largest_bytes:
        raise ConfigInvalid(f"{path}: {size} bytes is more than the {largest_bytes} that such a file may have.")
    return CatalogText(str(path), path.stem, "operator", data)
