"""The process between the gateway and one engine: ends the engine when the gateway dies, and keeps its log.

Run as a script with nothing but the standard library, so that it starts in milliseconds and stays small. It
starts the engine as the leader of a session of its own, writes the engine's pid to the report pipe, and holds
the read end of the lifeline, whose only write end is the gateway's: its end means that the gateway is gone;
a byte on it means that the engine shall outlive the gateway. A fork of the gateway would hold the lifeline open,
so on Linux the kernel also signals the gateway's death. Its life file is touched while the engine lives and says at the
end when and how it ended, whether or not a gateway is there. It knows no engine and restarts nothing.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

READ_BYTES = 65_536
READS_IN_A_ROW = 16
ORPHAN_GRACE_SECONDS = 2.0
TOUCH_SECONDS = 1.0
PR_SET_PDEATHSIG = 1
OWNER_DIED = signal.SIGUSR1
MARK = "[warden] "


class RotatingLog:
    """An append-only file that moves itself to `NAME.1` before it passes a size."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._open()

    def write(self, data: bytes) -> None:
        """Append, rotating first at the limit; a full disk costs lines, not the engine."""
        with suppress(OSError):
            if self._size and self._size + len(data) > self._limit_bytes:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
                full = self._fd
                self._open()
                os.close(full)
            self._size += os.write(self._fd, data)

    def note(self, text: str) -> None:
        """Append a line of the warden's own."""
        self.write(f"{MARK}{text}\n".encode())

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size


class LifeFile:
    """A file that is touched while the engine lives, and holds when and how it ended once it has."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._touched_at = 0.0

    def touch(self) -> None:
        """Say that the engine lives, at most once in so many seconds."""
        now = time.monotonic()
        if now - self._touched_at < TOUCH_SECONDS:
            return
        self._touched_at = now
        with suppress(OSError):
            self._path.touch(mode=0o600)

    def end(self, how: str) -> None:
        """Write the end, whole or not at all."""
        partial = self._path.with_name(self._path.name + ".partial")
        with suppress(OSError):
            partial.write_text(json.dumps({"ended_at_micros": time.time_ns() // 1000, "how": how}))
            partial.replace(self._path)


class Watch:
    """The one loop: the engine's output, the lifeline and signals, until the engine has ended."""

    def __init__(
        self, engine: subprocess.Popen[bytes], output: int, options: argparse.Namespace, log: RotatingLog
    ) -> None:
        self._engine = engine
        self._life = LifeFile(options.life)
        self._owner: int | None = options.owner
        self._output = output
        self._lifeline: int = options.lifeline
        self._log = log
        self._kill_at: float | None = None
        self._is_output_over = False
        self._selector = selectors.DefaultSelector()
        self._wake, write_end = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(write_end, False)
        os.set_blocking(output, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for fd in (output, self._lifeline, self._wake):
            self._selector.register(fd, selectors.EVENT_READ)

    def run(self) -> int:
        """Return the engine's return code (negative for a signal) when it and its whole group are gone."""
        while not self._has_ended():
            self._life.touch()
            timeout = TOUCH_SECONDS
            if self._kill_at is not None:
                timeout = min(timeout, max(0.0, self._kill_at - time.monotonic()))
            ready = {key.fd for key, _ in self._selector.select(timeout)}
            if self._output in ready:
                self._copy_output()
                if self._is_output_over:
                    self._selector.unregister(self._output)
            if self._lifeline in ready:
                self._read_lifeline()
            if self._wake in ready:
                self._read_signals()
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                self._signal_group(signal.SIGKILL)
                self._kill_at = None
        # The leader is not reaped yet, so its group id cannot belong to anybody else.
        self._signal_group(signal.SIGKILL)
        code = self._engine.wait()
        self._life.end(ending(code))
        self._copy_output()
        return code

    def _has_ended(self) -> bool:
        if not hasattr(os, "waitid"):
            return self._engine.poll() is not None
        return os.waitid(os.P_PID, self._engine.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _copy_output(self) -> None:
        with suppress(BlockingIOError):
            for _ in range(READS_IN_A_ROW):
                data = os.read(self._output, READ_BYTES)
                if not data:
                    self._is_output_over = True
                    return
                self._log.write(data)

    def _read_lifeline(self) -> None:
        self._selector.unregister(self._lifeline)
        if os.read(self._lifeline, 64):
            self._owner = None
        else:
            self._end_orphan()

    def _end_orphan(self) -> None:
        if self._owner is None:
            return
        self._owner = None
        self._log.note("the gateway is gone: stopping the engine")
        self._signal_group(signal.SIGTERM)
        self._kill_at = time.monotonic() + ORPHAN_GRACE_SECONDS

    def _read_signals(self) -> None:
        with suppress(BlockingIOError):
            received = os.read(self._wake, 64)
            if signal.SIGTERM in received:
                self._signal_group(signal.SIGTERM)
            # The kernel's signal follows the thread that started us: only a new parent proves a death.
            if OWNER_DIED in received and os.getppid() != self._owner:
                self._end_orphan()

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._engine.pid, number)


def signal_when_parent_dies(number: signal.Signals) -> None:
    """Ask the kernel for a signal at the parent thread's death (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def die_with(warden: int) -> None:
    """In the forked child: be killed when the warden's main thread ends, or has just ended (Linux)."""
    signal_when_parent_dies(signal.SIGKILL)
    if os.getppid() != warden:
        os._exit(1)


def start(argv: list[str], output: int) -> subprocess.Popen[bytes]:
    """Start the engine as the leader of a new session with its output in the pipe; raises OSError."""
    warden = os.getpid()
    return subprocess.Popen(  # noqa: S603 - running the launch plan's program is this file's purpose
        argv,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        preexec_fn=lambda: die_with(warden),
    )


def wake(_number: int, _frame: FrameType | None) -> None:
    """Handle a signal by nothing but the byte that Python writes to the wake-up pipe."""


def ending(code: int) -> str:
    """Say how a process with this return code ended."""
    if code >= 0:
        return f"it exited with status {code}"
    try:
        return f"it was ended by signal {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"


def arguments() -> argparse.Namespace:
    """Read the command line that the supervisor writes."""
    parser = argparse.ArgumentParser(prog="headrace-warden")
    parser.add_argument("--owner", type=int, required=True)
    parser.add_argument("--lifeline", type=int, required=True)
    parser.add_argument("--report", type=int, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--log-bytes", type=int, required=True)
    parser.add_argument("--life", type=Path, required=True)
    parser.add_argument("argv", nargs="+")
    return parser.parse_args()


def main() -> NoReturn:
    """Start the engine, watch it, and exit as it did."""
    options = arguments()
    for fd in (options.lifeline, options.report):
        os.set_inheritable(fd, False)
    log = RotatingLog(options.log, options.log_bytes)
    log.note("starting")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGCHLD, OWNER_DIED):
        signal.signal(number, wake)
    signal_when_parent_dies(OWNER_DIED)
    output, engine_output = os.pipe()
    try:
        engine = start(options.argv, engine_output)
    except OSError as failure:
        log.note(str(failure))
        sys.exit(127)
    os.close(engine_output)
    watch = Watch(engine, output, options, log)
    with suppress(BrokenPipeError):
        os.write(options.report, f"{engine.pid}\n".encode())
    os.close(options.report)
    code = watch.run()
    log.note(ending(code))
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
