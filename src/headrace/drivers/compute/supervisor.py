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

import msgspec

from headrace.domain.deployment import LaunchPlan, OwnerLoss, Replica
from headrace.domain.deployment import ReplicaState as Phase
from headrace.domain.errors import EngineFailed
from headrace.domain.plan import Endpoint
from headrace.domain.secret import Secret
from headrace.drivers.compute.processes import (
    Identity,
    boot_id,
    identity,
    kill_session,
    readable,
    send_signal,
    started_micros,
    wait_ended,
)
from headrace.drivers.compute.replica_file import (
    ReplicaFiles,
    ReplicaState,
    forget_half_started,
    plan_mark,
    read_states,
    replica_files,
)
from headrace.drivers.compute.replica_log import ReplicaLogs
from headrace.ports.ambient import Clock, Randomness
from headrace.ports.fleet import Running

WARDEN = Path(__file__).with_name("warden.py")
LOG_BYTES = 1_048_576
REPORT_SECONDS = 15.0
FORCE_SECONDS = 3.0
SECRET_BYTES = 32
LAST_LINES = 4
NOTE = "[warden] "
KEEP = b"k"
ORIGIN = "http://127.0.0.1:"


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
        self.logs = ReplicaLogs(home)
        self._home = home
        self._clock = clock
        self._randomness = randomness
        self._environment = dict(environment or {})
        self._log_bytes = log_bytes
        self._children: dict[str, _Child] = {}
        self._endings: dict[str, int] = {}
        self._lost: list[Replica] = []

    async def start(self, plan: LaunchPlan) -> Running:
        """Start the process with a fresh port and secret; raises EngineFailed when it cannot be started."""
        if plan.replica in self._children:
            raise EngineFailed(f'The replica "{plan.replica}" is running already.')
        files = replica_files(self._home, plan.replica)
        secret = self._randomness.token_bytes(SECRET_BYTES).hex()
        try:
            for folder in (self._home / "run", self._home / "logs"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.write_secret(secret)
            child = await self._spawn(plan, files, self._free_port())
        except BaseException as failure:
            with suppress(OSError):
                files.forget()
            if isinstance(failure, OSError):
                raise EngineFailed(f"The engine could not be started: {failure}.") from failure
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
            if state.on_owner_loss is OwnerLoss.KEEP and secret and state.is_running:
                child = self._children[state.replica] = _Child(state, files)
                adopted.append(_running(child, secret))
                continue
            if state.on_owner_loss is OwnerLoss.KEEP:
                self._lost.append(self._ended_before(state, files))
            if state.may_run:
                kill_session(state.engine)
                send_signal(state.warden, signal.SIGKILL)
            files.forget()
        forget_half_started(self._home)
        return adopted

    def lost(self) -> Sequence[Replica]:
        """Return the replicas to be kept that `adopt` found ended, or ended itself, with when and how; once."""
        lost, self._lost = self._lost, []
        return lost

    def _ended_before(self, state: ReplicaState, files: ReplicaFiles) -> Replica:
        now = self._clock.unix_micros()
        ending = None if state.is_running else files.ending()
        how = ending.how if ending is not None and ending.how else "nobody saw how"
        return Replica(
            id=state.replica,
            deployment=state.deployment,
            state=Phase.FAILED,
            base_url=None,
            pid=state.warden_pid,
            started_at_micros=state.started_at_micros,
            reason=f"Its engine ended while no gateway watched it: {how}.",
            ready_at_micros=state.ready_at_micros,
            ended_at_micros=ending.ended_at_micros if ending is not None else now,
        )

    def note_ready(self, running: Running, at_micros: int) -> None:
        """Remember in the replica's file when it gave its first real token; a full disk costs no more than that."""
        child = self._children.get(running.replica)
        if child is not None and child.state.warden_pid == running.pid:
            child.state = msgspec.structs.replace(child.state, ready_at_micros=at_micros)
            with suppress(OSError):
                child.files.write_state(child.state)

    def ended_at(self, running: Running) -> int:
        """Return when the process was gone, in microseconds since 1970, as its warden wrote it, else now; once."""
        return self._endings.pop(running.replica, self._clock.unix_micros())

    def lost_its_port(self, running: Running) -> bool:
        """Whether another process listens where this one, which has ended, was to listen."""
        port = int(running.endpoint.base_url.removeprefix(ORIGIN).partition("/")[0])
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return True
        return False

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
        lifeline_read, lifeline, report, report_write = _two_pipes()
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
        except BaseException:
            os.close(lifeline)
            if process is not None:
                await _abandon(process)
            raise
        finally:
            os.close(report)

    def _start_warden(
        self, plan: LaunchPlan, files: ReplicaFiles, port: int, fds: tuple[int, int]
    ) -> subprocess.Popen[bytes]:
        lifeline, report = fds
        blanks = {
            "{port}": str(port),
            "{secret_file}": str(files.secret),
            "{private_file}": str(files.private),
            "{devices}": ",".join(map(str, plan.devices)),
            "{sharers}": str(plan.sharers),
        }
        secret = {"{secret}": files.secret.read_text()}
        if plan.private_text:
            files.write_text(_fill(plan.private_text, blanks | secret))
        return subprocess.Popen(  # noqa: S603 - running the launch plan's program is the purpose
            [
                *(sys.executable, "-I", "-S", str(WARDEN)),
                *("--owner", str(os.getpid()), "--lifeline", str(lifeline), "--report", str(report)),
                *("--log", str(files.log), "--log-bytes", str(self._log_bytes), "--life", str(files.life), "--"),
                *(_fill(part, blanks) for part in plan.argv),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment | {name: _fill(value, blanks | secret) for name, value in plan.environment},
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
            raise EngineFailed(f"The engine was not started in {REPORT_SECONDS:g} s.") from None
        text = os.read(report, 32).strip()
        engine = identity(int(text)) if text else None
        if warden is None or engine is None:
            words = _last_words(replica_files(self._home, plan.replica))
            raise EngineFailed(f"The engine did not start: {words}")
        return ReplicaState(
            replica=plan.replica,
            deployment=plan.deployment,
            warden_pid=warden.pid,
            warden_created=warden.created,
            engine_pid=engine.pid,
            engine_created=engine.created,
            port=port,
            on_owner_loss=plan.on_owner_loss,
            started_at_micros=started_micros(engine.pid) or self._clock.unix_micros(),
            plan=plan_mark(plan),
            devices=plan.devices,
            base_path=plan.base_path,
            boot=boot_id(),
        )

    def _free_port(self) -> int:
        taken = {child.state.port for child in self._children.values()}
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            if port not in taken:
                return port

    def _bury(self, child: _Child) -> None:
        if self._children.get(child.state.replica) is not child:
            return
        del self._children[child.state.replica]
        ending = child.files.ending()
        if ending is not None and ending.how:
            self._endings[child.state.replica] = ending.ended_at_micros
        # After a warden that was killed, the engine's own children may still be there.
        kill_session(child.state.engine)
        if child.process is not None:
            child.process.wait()
        if child.lifeline is not None:
            os.close(child.lifeline)
        child.files.forget()


def _two_pipes() -> tuple[int, int, int, int]:
    first = os.pipe()
    try:
        return *first, *os.pipe()
    except OSError:
        for fd in first:
            os.close(fd)
        raise


def _fill(text: str, blanks: Mapping[str, str]) -> str:
    for blank, value in blanks.items():
        text = text.replace(blank, value)
    return text


def _running(child: _Child, secret: str) -> Running:
    state = child.state
    endpoint = Endpoint(
        base_url=f"{ORIGIN}{state.port}{state.base_path}",
        auth_header="authorization",
        auth_value=Secret(f"Bearer {secret}"),
        replica=state.replica,
    )
    return Running(
        replica=state.replica,
        deployment=state.deployment,
        pid=state.warden_pid,
        endpoint=endpoint,
        on_owner_loss=state.on_owner_loss,
        started_at_micros=state.started_at_micros,
        ready_at_micros=state.ready_at_micros,
        plan=state.plan,
        devices=state.devices,
    )


def _read_secret(files: ReplicaFiles) -> str:
    try:
        return files.secret.read_text()
    except OSError:
        return ""


def _last_words(files: ReplicaFiles) -> str:
    lines = files.last_lines(LAST_LINES)
    how = "its warden was killed"
    if lines and lines[-1].startswith(NOTE):
        how = lines.pop().removeprefix(NOTE)
    return f"{how}; last lines: {' | '.join(lines)}" if lines else how


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
