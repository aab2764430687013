"""Facts about processes: who a pid is, when it ends, how a whole session is killed; starts none itself."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass

import psutil

POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Identity:
    """One process for good: a pid may be given to another, together with its start time it may not."""

    pid: int
    created: float

    @property
    def alive(self) -> bool:
        """Whether exactly this process is there and not a zombie."""
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def identity(pid: int) -> Identity | None:
    """Return who has this pid now, or None when nobody has."""
    try:
        return Identity(pid, psutil.Process(pid).create_time())
    except psutil.Error:
        return None


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
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == leader.pid:
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
    if not hasattr(os, "pidfd_open"):
        while process.alive:  # noqa: ASYNC110 - without pidfd there is no event for a process that is not our child
            await asyncio.sleep(POLL_SECONDS)
        return
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if process.alive:
            await readable(fd)
    finally:
        os.close(fd)
