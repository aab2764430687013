"""The checkable prompts of the package; what is in them is wire/checkable_file's."""

from __future__ import annotations

from importlib import resources

from headrace.domain.checkable import Checkable
from headrace.wire.checkable_file import read_checkable

FOLDER, FILE_NAME = "routing", "checkable.toml"


def shipped_checkable() -> tuple[Checkable, ...]:
    """Return the prompts that ship in the package."""
    data = resources.files("headrace.catalog").joinpath(FOLDER, FILE_NAME).read_bytes()
    return read_checkable(f"shipped/{FOLDER}/{FILE_NAME}", data)
