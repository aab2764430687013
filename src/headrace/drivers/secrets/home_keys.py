"""Owns the pepper and the master keys as files in HOME/secrets; sealing with them is sealing.py's."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace.domain.errors import HomeUnusable
from headrace.ports.ambient import Randomness

FOLDER = "secrets"
PEPPER = "pepper"
KEY_BYTES = 32
MASTER = re.compile(r"master-([1-9][0-9]{0,4})\Z")


@dataclass(frozen=True, slots=True)
class HomeKeys:
    """The home's own secrets; `master` maps versions to keys, `created` says that one was made just now."""

    pepper: bytes = field(repr=False)
    master: Mapping[int, bytes] = field(repr=False)
    created: bool

    @property
    def current_version(self) -> int:
        """The version of the master key that seals."""
        return max(self.master)


def open_home_keys(home: Path, randomness: Randomness) -> HomeKeys:
    """Read the pepper and the master keys, making the ones that are missing.

    Raises HomeUnusable when a file can be read by others or is not a key.
    """
    folder = home / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        _refuse_shared(folder)
        created = _create_missing(folder, PEPPER, randomness)
        if not _versions(folder):
            created = _create_missing(folder, "master-1", randomness) or created
        master = {version: _read(folder / f"master-{version}") for version in _versions(folder)}
        return HomeKeys(_read(folder / PEPPER), master, created)
    except OSError as error:
        raise HomeUnusable(f"{folder} cannot be used: {error.strerror}.", detail=str(error)) from error


def _versions(folder: Path) -> list[int]:
    found = (MASTER.match(path.name) for path in folder.iterdir())
    return sorted(int(match.group(1)) for match in found if match is not None)


def _create_missing(folder: Path, name: str, randomness: Randomness) -> bool:
    """Write a new key and its directory entry durably; the file appears whole or not at all."""
    path = folder / name
    if path.exists():
        return False
    draft = folder / f".{name}.new"
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, randomness.token_bytes(KEY_BYTES).hex().encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.rename(path)
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return True


def _read(path: Path) -> bytes:
    _refuse_shared(path)
    with contextlib.suppress(ValueError):
        key = bytes.fromhex(path.read_text("ascii").strip())
        if len(key) == KEY_BYTES:
            return key
    raise HomeUnusable(
        f"{path} is not a key of {KEY_BYTES} bytes in hexadecimal: put the original file back. Without it, access "
        "keys made with it no longer work and stored provider credentials cannot be opened."
    )


def _refuse_shared(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        wanted = "700" if path.is_dir() else "600"
        raise HomeUnusable(
            f"{path} can be used by others (mode {mode:o}): run `chmod {wanted} {path}` and consider it known to them."
        )
