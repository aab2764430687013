"""Owns the engines' processes on this machine: start, watch, adopt, stop. When to do so is decided elsewhere.

Every engine runs under a warden (warden.py), which holds the read end of a lifeline pipe. The write end lives
in this process only: it is close-on-exec, so that no other child can keep it open after we die.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headrace.domain.deployment import LaunchPlan, OwnerLoss
from headrace.domain.errors import EngineFailed
from headrace.domain.plan import Endpoint
from headrace.domain.secret import Secret
from headrace.drivers.compute.processes import (
    Identity,
    identity,
    kill_session,
    readable,
    send_signal,
    wait_ended,
)
from headrace.drivers.compute.replica_file import ReplicaFiles, ReplicaState, read_states, replica_files
from headrace.ports.ambient import Clock, Randomness
from headrace.ports.fleet import Running

WARDEN = Path(__file__).with_name("warden.py")
LOG_BYTES = 1_048_576
REPORT_SECONDS = 15.0
FORCE_SECONDS = 3.0
SECRET_BYTES = 32
LAST_LINES = 4
KEEP = b"k"


@dataclass(slots=True)
class _Child:
    """A supervised process; `process` and `lifeline` are None when it was adopted."""

    state: ReplicaState
    files: ReplicaFiles
    process: subprocess.Popen[bytes] | None = None
    lifeline: int | None = None


class ProcessSupervisor:
    """Starts engines as child processes, each with a port, a secret, a log and a state file in the home.

    `environment` is all that engines see of the environment, beside what their plan adds: provider keys of
    the gateway stay out of it.
    """

    def __init__(
        self,
        home: Path,
        clock: Clock,
        randomness: Randomness,
        environment: Mapping[str, str] | None = None,
        log_bytes: int = LOG_BYTES,
    ) -> None:
        self._home = home
        self._clock = clock
        self._randomness = randomness
        self._environment = dict(environment or {})
        self._log_bytes = log_bytes
        self._children: dict[str, _Child] = {}

    async def start(self, plan: LaunchPlan) -> Running:
        """Start the process with a fresh port and secret; raises EngineFailed when it cannot be started."""
        if plan.replica in self._children:
            raise EngineFailed(f'The replica "{plan.replica}" is running already.')
        for folder in (self._home / "run", self._home / "logs"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = replica_files(self._home, plan.replica)
        secret = self._randomness.token_bytes(SECRET_BYTES).hex()
        files.write_secret(secret)
        try:
            child = await self._spawn(plan, files, _free_port())
        except BaseException:
            files.forget()
            raise
        self._children[plan.replica] = child
        return _running(child, secret)

    def adopt(self) -> Sequence[Running]:
        """Take over what an earlier process left running under OwnerLoss.KEEP; end all else it left."""
        adopted: list[Running] = []
        for path, state in read_states(self._home):
            if state is None:
                path.unlink(missing_ok=True)
                continue
            if state.replica in self._children:
                continue
            files = replica_files(self._home, state.replica)
            secret = _read_secret(files)
            if state.on_owner_loss is OwnerLoss.KEEP and secret and state.warden.alive and state.engine.alive:
                child = self._children[state.replica] = _Child(state, files)
                adopted.append(_running(child, secret))
                continue
            kill_session(state.engine)
            send_signal(state.warden, signal.SIGKILL)
            files.forget()
        return adopted

    async def exited(self, running: Running) -> str:
        """Return, when the process has ended, how it ended, with the last lines that it wrote."""
        child = self._children.get(running.replica)
        if child is not None and child.state.warden_pid == running.pid:
            await wait_ended(child.state.warden)
            self._bury(child)
        return _last_words(replica_files(self._home, running.replica))

    async def stop(self, running: Running, grace_seconds: float) -> None:
        """Stop the process: politely, then by force; returns when it is gone."""
        child = self._children.get(running.replica)
        if child is None or child.state.warden_pid != running.pid:
            return
        send_signal(child.state.warden, signal.SIGTERM)
        if not await _ended_within(child.state.warden, grace_seconds):
            kill_session(child.state.engine)
            if not await _ended_within(child.state.warden, FORCE_SECONDS):
                send_signal(child.state.warden, signal.SIGKILL)
                await wait_ended(child.state.warden)
        self._bury(child)

    def tail(self, running: Running) -> str:
        """Return the last line that the process wrote, or an empty text."""
        return "".join(replica_files(self._home, running.replica).last_lines(1))

    async def _spawn(self, plan: LaunchPlan, files: ReplicaFiles, port: int) -> _Child:
        lifeline_read, lifeline = os.pipe()
        report, report_write = os.pipe()
        process: subprocess.Popen[bytes] | None = None
        try:
            try:
                process = self._start_warden(plan, files, port, (lifeline_read, report_write))
            finally:
                os.close(lifeline_read)
                os.close(report_write)
            state = await self._reported(plan, process, report, port)
            files.write_state(state)
            if plan.on_owner_loss is OwnerLoss.KEEP:
                os.write(lifeline, KEEP)
            return _Child(state, files, process, lifeline)
        except BaseException as failure:
            os.close(lifeline)
            if process is not None:
                await _abandon(process)
            if isinstance(failure, OSError):
                raise EngineFailed(f'The engine of "{plan.deployment}" could not be started: {failure}.') from failure
            raise
        finally:
            os.close(report)

    def _start_warden(
        self, plan: LaunchPlan, files: ReplicaFiles, port: int, fds: tuple[int, int]
    ) -> subprocess.Popen[bytes]:
        lifeline, report = fds
        blanks = {"{port}": str(port), "{secret_file}": str(files.secret)}
        return subprocess.Popen(  # noqa: S603 - running the launch plan's program is the purpose
            [
                *(sys.executable, "-I", "-S", str(WARDEN)),
                *("--owner", str(os.getpid()), "--lifeline", str(lifeline), "--report", str(report)),
                *("--log", str(files.log), "--log-bytes", str(self._log_bytes), "--"),
                *(_fill(part, blanks) for part in plan.argv),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment | {name: _fill(value, blanks) for name, value in plan.environment},
            pass_fds=fds,
            start_new_session=True,
        )

    async def _reported(
        self, plan: LaunchPlan, process: subprocess.Popen[bytes], report: int, port: int
    ) -> ReplicaState:
        warden = identity(process.pid)
        try:
            async with asyncio.timeout(REPORT_SECONDS):
                await readable(report)
        except TimeoutError:
            raise EngineFailed(f'The engine of "{plan.deployment}" was not started in {REPORT_SECONDS:g} s.') from None
        text = os.read(report, 32).strip()
        engine = identity(int(text)) if text else None
        if warden is None or engine is None:
            words = _last_words(replica_files(self._home, plan.replica))
            raise EngineFailed(f'The engine of "{plan.deployment}" did not start: {words}')
        return ReplicaState(
            replica=plan.replica,
            deployment=plan.deployment,
            warden_pid=warden.pid,
            warden_created=warden.created,
            engine_pid=engine.pid,
            engine_created=engine.created,
            port=port,
            on_owner_loss=plan.on_owner_loss,
            started_at_micros=self._clock.unix_micros(),
        )

    def _bury(self, child: _Child) -> None:
        if self._children.get(child.state.replica) is not child:
            return
        del self._children[child.state.replica]
        # After a warden that was killed, the engine's own children may still be there.
        kill_session(child.state.engine)
        if child.process is not None:
            child.process.wait()
        if child.lifeline is not None:
            os.close(child.lifeline)
        child.files.forget()


def _fill(text: str, blanks: Mapping[str, str]) -> str:
    for blank, value in blanks.items():
        text = text.replace(blank, value)
    return text


def _running(child: _Child, secret: str) -> Running:
    state = child.state
    endpoint = Endpoint(
        base_url=f"http://127.0.0.1:{state.port}",
        auth_header="authorization",
        auth_value=Secret(f"Bearer {secret}"),
        replica=state.replica,
    )
    return Running(state.replica, state.deployment, state.warden_pid, endpoint, state.on_owner_loss)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _read_secret(files: ReplicaFiles) -> str:
    try:
        return files.secret.read_text()
    except OSError:
        return ""


def _last_words(files: ReplicaFiles) -> str:
    *before, last = files.last_lines(LAST_LINES) or ["it left no log"]
    if not last.startswith("[warden] "):
        return "its warden was killed; last lines: " + " | ".join([*before, last])
    how = last.removeprefix("[warden] ")
    return f"{how}; last lines: {' | '.join(before)}" if before else how


async def _ended_within(process: Identity, seconds: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wait_ended(process)
    return not process.alive


async def _abandon(process: subprocess.Popen[bytes]) -> None:
    """End a warden whose start went wrong; its lifeline is closed already, so it ends its engine itself."""
    warden = identity(process.pid)
    if warden is not None and not await _ended_within(warden, FORCE_SECONDS):
        send_signal(warden, signal.SIGKILL)
    process.wait()
