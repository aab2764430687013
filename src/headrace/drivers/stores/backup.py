"""Owns copying a home into one archive and putting it back; it takes the database, the catalog and the configuration.

The pepper, the master keys and credentials.json never go into a backup: who finds one can neither use a key nor
open a provider's credential. They must be kept elsewhere, and put back by hand.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from headrace.domain.errors import HomeUnusable, StoreUnusable
from headrace.drivers.stores.database import FILE_NAME
from headrace.drivers.stores.home import open_home
from headrace.drivers.stores.moved import moved_to
from headrace.drivers.stores.restored import note_restore
from headrace.drivers.stores.sqlite import Connection, DatabaseError, connect_reader
from headrace.drivers.stores.upgrade import copy_database, stored_revision
from headrace.ports.ambient import Clock

CATALOG = "catalog"
ARCHIVE = "archive"
NOT_INSIDE = (
    "It does not hold the pepper, the master keys (HOME/secrets) or credentials.json. Keep HOME/secrets in "
    "another safe place: without it no access key made so far works and no stored provider credential opens."
)
NEXT_STEP = (
    "Put the original HOME/secrets back before the next start. Without it new ones are made: access keys must "
    "then be created again and provider credentials set again. Deployments that were made after this backup are not "
    "known in it: HOME/RESTORED says what becomes of those at a cloud or in a cluster."
)


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup or a restore did: the archive or home, the files in it, and what the operator must know."""

    path: Path
    files: tuple[str, ...]
    note: str


def backup(home: Path, destination: Path) -> Copied:
    """Write a consistent archive of a home, also while a server runs in it.

    Raises HomeUnusable when there is nothing to copy or the destination exists, StoreUnusable for a damaged file.
    """
    if not (home / FILE_NAME).is_file():
        raise HomeUnusable(f"{home} has no {FILE_NAME}: there is nothing to back up. Is --home right?")
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=destination.parent) as folder:
            files = _pack(home, Path(folder))
            _publish(Path(folder) / ARCHIVE, destination)
    except OSError as error:
        raise HomeUnusable(
            f"{destination} cannot be written: {error.strerror}. Name a file in a folder that is there and has room.",
            detail=str(error),
        ) from error
    return Copied(destination, files, NOT_INSIDE)


def restore(source: Path, home: Path, clock: Clock, *, force: bool = False) -> Copied:
    """Put an archive back into a home that nobody uses.

    With `force`, what it would replace is first moved to HOME/backups/replaced-TIME. Raises HomeUnusable when the
    home is in use or not empty, StoreUnusable when the archive or the database in it is damaged.
    """
    with open_home(home), tempfile.TemporaryDirectory(prefix=".restore-", dir=home) as folder:
        unpacked = Path(folder)
        _unpack(source, unpacked)
        _check(unpacked / FILE_NAME)
        in_the_way = [path for path in _replaced(home) if path.exists()]
        if in_the_way and not force:
            names = ", ".join(path.name for path in in_the_way)
            raise HomeUnusable(
                f"{home} is not empty: it has {names}. Restore into a new home with --home, or give --force, which "
                "moves these to HOME/backups first."
            )
        try:
            _move_aside(in_the_way, home / "backups" / f"replaced-{clock.unix_micros()}")
            for path in sorted(unpacked.iterdir()):
                path.rename(home / path.name)
            note_restore(home, source, clock.unix_micros())
        except OSError as error:
            raise HomeUnusable(f"{home} cannot be written: {error.strerror}.", detail=str(error)) from error
    files = (FILE_NAME, *(name for name, _ in _text_files(home)))
    return Copied(home, files, NEXT_STEP)


def _pack(home: Path, folder: Path) -> tuple[str, ...]:
    """Write the archive into the folder and return the names in it."""
    copy, draft = folder / FILE_NAME, folder / ARCHIVE
    _copy_checked(home / FILE_NAME, copy)
    draft.touch(mode=0o600)
    files = [(FILE_NAME, copy), *_text_files(home)]
    with tarfile.open(draft, "w:gz") as archive:
        for name, path in files:
            archive.add(path, name, recursive=False)
    return tuple(name for name, _ in files)


def _text_files(home: Path) -> list[tuple[str, Path]]:
    paths = [*home.glob("*.toml"), *(home / CATALOG).rglob("*.toml")]
    return [(path.relative_to(home).as_posix(), path) for path in sorted(paths) if path.is_file()]


def _copy_checked(source: Path, destination: Path) -> None:
    try:
        reader = connect_reader(source)
        try:
            _require_books(reader, source)
            copy_database(reader, destination)
        finally:
            reader.close()
    except DatabaseError as error:
        raise StoreUnusable(f"{source} cannot be copied: {error}.", detail=str(error)) from error
    _check(destination)


def _require_books(reader: Connection, source: Path) -> None:
    """Raise StoreUnusable for a file whose books were moved: its copy would look like a backup and be none."""
    where = moved_to(reader.cursor()) if stored_revision(reader) is not None else None
    if where is not None:
        raise StoreUnusable(
            f"The books of {source} were moved to {where}, so this would be no backup of them. Copy that database with "
            "pg_dump, and HOME/secrets, HOME/catalog and HOME/headrace.toml beside it."
        )


def _check(path: Path) -> None:
    try:
        reader = connect_reader(path)
        try:
            found = str(reader.execute("PRAGMA quick_check(1)").fetchone()[0])
        finally:
            reader.close()
    except DatabaseError as error:
        raise StoreUnusable(f"The database in the copy is damaged: {error}.", detail=str(error)) from error
    if found != "ok":
        raise StoreUnusable(f"The database in the copy is damaged: {found}.")
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _publish(draft: Path, destination: Path) -> None:
    descriptor = os.open(draft, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        destination.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise HomeUnusable(f"{destination} exists already: choose another name.") from None
    draft.replace(destination)


def _unpack(source: Path, folder: Path) -> None:
    try:
        with tarfile.open(source, "r:gz") as archive:
            members = [member for member in archive.getmembers() if _belongs(member)]
            if FILE_NAME not in {member.name for member in members}:
                raise StoreUnusable(f"{source} is not a Headrace backup: it has no {FILE_NAME}.")
            archive.extractall(folder, members=members, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise StoreUnusable(
            f"{source} cannot be read as a backup: {why}. Name a file that `headrace backup` wrote.", detail=str(error)
        ) from error
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)


def _belongs(member: tarfile.TarInfo) -> bool:
    """Whether a member is one of ours; anything else in the archive is left alone."""
    path = PurePosixPath(member.name)
    if not member.isfile() or path.is_absolute() or ".." in path.parts:
        return False
    is_text = path.suffix == ".toml" and (len(path.parts) == 1 or path.parts[0] == CATALOG)
    return is_text or member.name == FILE_NAME


def _replaced(home: Path) -> Iterator[Path]:
    for suffix in ("", "-wal", "-shm"):
        yield home / f"{FILE_NAME}{suffix}"
    yield home / CATALOG
    yield from sorted(home.glob("*.toml"))


def _move_aside(paths: list[Path], folder: Path) -> None:
    if paths:
        folder.mkdir(mode=0o700, parents=True)
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            shutil.move(path, folder / path.name)
