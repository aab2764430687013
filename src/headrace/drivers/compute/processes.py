"""Facts about processes: who a pid is, when it ends, how a whole session is killed; starts none itself."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL_SECONDS = 0.2
MICROS = 1_000_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# In /proc/PID/stat, counted after the name, which may hold anything. Source: proc_pid_stat(5), read 2026-11-28.
_STATE, _START_TICKS = 0, 19
_ENDED = (b"Z", b"X")


@dataclass(frozen=True, slots=True)
class Identity:
    """One process for good: a pid may be given to another, together with its start it may not.

    `created` is in seconds, on Linux since the machine's start: unlike the time of day it stays when clocks are set.
    """

    pid: int
    created: float

    @property
    def alive(self) -> bool:
        """Whether exactly this process is there and not a zombie; where that cannot be seen it is."""
        try:
            created, has_ended = _seen(self.pid)
        except (FileNotFoundError, ProcessLookupError, psutil.Error):
            return False
        except OSError:
            # Without a file descriptor left, say, nothing shows that it has ended.
            return True
        return created == self.created and not has_ended


def identity(pid: int) -> Identity | None:
    """Return who has this pid now, or None when nobody has."""
    try:
        return Identity(pid, _seen(pid)[0])
    except (OSError, psutil.Error):
        return None


def started_micros(pid: int) -> int | None:
    """Return when the process began, in microseconds since 1970, as the operating system says; None when it is gone."""
    try:
        return round(psutil.Process(pid).create_time() * MICROS)
    except psutil.Error:
        return None


def boot_id() -> str:
    """Return what tells this start of the machine from every other, an empty text where nothing does."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _seen(pid: int) -> tuple[float, bool]:
    """Return when it began and whether it is a zombie; raises OSError or psutil.Error when nobody has this pid."""
    if sys.platform != "linux":
        process = psutil.Process(pid)
        return process.create_time(), process.status() == psutil.STATUS_ZOMBIE
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[_START_TICKS]) / os.sysconf("SC_CLK_TCK"), fields[_STATE] in _ENDED


def send_signal(process: Identity, number: signal.Signals) -> None:
    """Send a signal to exactly this process; nothing happens when it is gone."""
    if process.alive:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, number)


def kill_session(leader: Identity) -> None:
    """Kill everything in the session that this process led, also after the leader is gone."""
    now = identity(leader.pid)
    if now is not None and now.created != leader.created:
        # The pid was given away, which the kernel does only after the last member of the session is gone.
        return
    # Without a file descriptor left there is no list; a warden's death ends its engine all the same.
    with suppress(OSError):
        for pid in psutil.pids():
            _kill_member(pid, leader.pid)


def _kill_member(pid: int, session: int) -> None:
    with suppress(OSError):
        if os.getsid(pid) == session:
            os.kill(pid, signal.SIGKILL)


async def readable(fd: int) -> None:
    """Wait until a file descriptor can be read."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(fd, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(fd)


async def wait_ended(process: Identity) -> None:
    """Return when exactly this process has ended (a zombie has)."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):
        # Not every system has pidfd, and none has one left where every file descriptor is in use.
        while process.alive:  # noqa: ASYNC110 - there is no event for a process that is not our child
            await asyncio.sleep(POLL_SECONDS)
        return
    try:
        if process.alive:
            await readable(fd)
    finally:
        os.close(fd)
