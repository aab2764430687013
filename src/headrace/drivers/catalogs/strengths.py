"""Strengths of models from the package and from the operator's folder; what is in them is wire/strength_file's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from importlib import resources
from pathlib import Path

from headrace.domain.strength import Strength, merged
from headrace.drivers.catalogs.files import SHIPPED, read_file
from headrace.drivers.catalogs.proposals import replace_file
from headrace.wire.strength_file import read_strengths, strengths_text

FOLDER, FILE_NAME = "routing", "strengths.toml"
LARGEST_BYTES = 1024 * 1024
HEADING = "Strengths that this installation measured or was told; they go before the shipped ones."


def shipped_strengths() -> tuple[Strength, ...]:
    """Return the strengths that ship in the package."""
    file = resources.files("headrace.catalog").joinpath(FOLDER, FILE_NAME)
    return read_strengths(f"{SHIPPED}/{FOLDER}/{FILE_NAME}", file.read_bytes()) if file.is_file() else ()


class StrengthFiles:
    """The shipped file, and `routing/strengths.toml` in the operator's catalog folder, which need not exist."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / FOLDER / FILE_NAME

    def read(self) -> tuple[Strength, ...]:
        """Return both, the operator's in the place of shipped ones; raises ConfigInvalid."""
        own = () if self._path is None else _own(self._path)
        return merged(shipped_strengths(), [replace(each, is_own=True) for each in own])

    def digest(self) -> str:
        """Return the size and the time of change of the operator's file, nothing where there is none."""
        try:
            stat = None if self._path is None else self._path.stat()
        except OSError:
            return ""
        return "" if stat is None else f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"


def add_strengths(folder: Path, strengths: Iterable[Strength]) -> Path:
    """Write strengths into the operator's file, keep its others, and return its path; raises ConfigInvalid."""
    path = folder / FOLDER / FILE_NAME
    replace_file(path, strengths_text(merged(_own(path), strengths), HEADING))
    return path


def _own(path: Path) -> tuple[Strength, ...]:
    if not path.exists():
        return ()
    text = read_file(path, LARGEST_BYTES)
    return read_strengths(text.file, text.data)
