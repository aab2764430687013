"""Child processes of a measurement: pinned start, bounded end, CPU time and memory of a process tree.

It reads Linux's /proc and knows nothing of what the processes do.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import BenchError

STOP_SECONDS = 15.0
FIXED_WORK = {str(number): list(range(20)) for number in range(1000)}
FIXED_ROUNDS = 10
PR_SET_PDEATHSIG = 1
STAT_FIELDS_AFTER_NAME = slice(11, 15)  # utime, stime, cutime, cstime
PARENT_FIELD_AFTER_NAME = 1


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the target and the core of load generator and upstream; equal on a one-core machine."""

    target: int
    load: int


def choose_cores() -> Cores:
    """Return two of the cores that this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(target=allowed[-1], load=allowed[0])


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process is started; its output goes to the log file."""

    name: str
    command: Sequence[str]
    core: int
    directory: Path
    environment: Mapping[str, str]

    @property
    def log(self) -> Path:
        """Return the file that takes both outputs of the process."""
        return self.directory / f"{self.name}.log"


@dataclass(frozen=True, slots=True)
class Running:
    """A started process and its log."""

    launch: Launch
    process: subprocess.Popen[bytes]

    def log_tail(self) -> str:
        """Return the last lines that the process wrote."""
        text = self.launch.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-15:])

    def check_alive(self) -> None:
        """Raise with the end of the log if the process has ended."""
        if self.process.poll() is not None:
            raise BenchError(f"{self.launch.name} ended with status {self.process.returncode}:\n{self.log_tail()}")


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def start(launch: Launch) -> Running:
    """Start a process in its own session on its core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {launch.core})  # the child inherits it, with every thread that it will start
    try:
        with launch.log.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - command lines from targets.py
                launch.command,
                cwd=launch.directory,
                env=dict(launch.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # a killed measurement leaves no server behind
            )
    except OSError as error:
        raise BenchError(f"cannot start {launch.name}: {error}") from error
    finally:
        os.sched_setaffinity(0, before)
    return Running(launch, process)


def stop(running: Running) -> None:
    """End a process politely, then its whole session by force."""
    if running.process.poll() is None:
        running.process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.process.wait(STOP_SECONDS)
    try:
        os.killpg(running.process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    running.process.wait(STOP_SECONDS)


def _stat_fields(pid: int) -> list[str]:
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return text.rpartition(")")[2].split()


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int(_stat_fields(int(entry.name))[PARENT_FIELD_AFTER_NAME])
        except OSError:
            continue  # it ended while we looked
        children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def cpu_seconds(running: Running) -> float:
    """Return the CPU time of the process and all its descendants, ended ones included."""
    ticks = 0
    for pid in _tree(running.process.pid):
        try:
            ticks += sum(int(field) for field in _stat_fields(pid)[STAT_FIELDS_AFTER_NAME])
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mb(running: Running) -> float:
    """Return the resident memory of the process and all its descendants."""
    pages = 0
    for pid in _tree(running.process.pid):
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def fixed_work_ms(core: int) -> float:
    """Return the CPU time that a fixed piece of work takes on a core now, in milliseconds."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        begun = time.process_time()
        for _ in range(FIXED_ROUNDS):
            json.loads(json.dumps(FIXED_WORK))
        return (time.process_time() - begun) * 1000
    finally:
        os.sched_setaffinity(0, before)
