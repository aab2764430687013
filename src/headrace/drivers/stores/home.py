"""Owns the home directory as a place: making it, proving it writable, and one process at a time in it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from headrace.domain.errors import HomeUnusable

LOCK_NAME = "headrace.lock"


class Home:
    """A home that this process holds; `close` lets the next one in."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock: int | None = lock

    def close(self) -> None:
        """Give the home up."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Home:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_home(path: Path) -> Home:
    """Make the home when it is missing and lock it for this process.

    Raises HomeUnusable when it cannot be written or when another process has it, naming that one's pid.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise HomeUnusable(_not_writable(path, error), detail=str(error)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise HomeUnusable(
            f"{path} is in use by another Headrace (pid {holder}). Stop that one, or choose another home with --home."
        ) from None
    except OSError as error:
        os.close(lock)
        raise HomeUnusable(f"{path} cannot be locked: {error.strerror}.", detail=str(error)) from error
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        os.close(lock)
        raise HomeUnusable(_not_writable(path, error), detail=str(error)) from error
    return Home(path, lock)


def _not_writable(path: Path, error: OSError) -> str:
    return (
        f"{path} cannot be written ({error.strerror}). Choose another home with --home DIR, "
        "or make this one writable for the user who runs Headrace."
    )
