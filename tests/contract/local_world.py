"""The local driver's world: real toy processes of this machine, and a control plane that can be lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from headrace.domain.deployment import LaunchPlan, Replica
from headrace.domain.plan import Endpoint
from headrace.drivers.ambient import SystemClock
from headrace.drivers.compute.devices import DeviceBook
from headrace.drivers.compute.local import LocalCompute, LocalPolicy
from headrace.drivers.compute.local_deployment import Backoff
from headrace.drivers.compute.replica import Patience
from headrace.drivers.compute.replica_file import ReplicaFiles
from headrace.drivers.compute.supervisor import ProcessSupervisor
from headrace.ports.fleet import Compute
from headrace.testing.clock import FakeRandom
from tests.contract.compute_world import ComputeWorld, Held
from tests.contract.toy_fleet import ToyEngine, ask

PATIENCE = Patience(
    ready_seconds=10.0,
    load_seconds=10.0,
    poll_seconds=0.1,
    grace_seconds=1.0,
    pulse_seconds=1.0,
    probe_seconds=1.5,
    drain_seconds=10.0,
)
BACKOFF = Backoff(first_seconds=0.2, most_seconds=1.0, room_seconds=0.2)


class WatchedSupervisor(ProcessSupervisor):
    """Remembers the wardens that it started, so that those of a lost control plane are waited for."""

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(home, SystemClock(), FakeRandom(os.getpid()), environment or {"LANG": "C"})
        self.wardens: list[subprocess.Popen[bytes]] = []
        self.ports: list[int] = []

    def _free_port(self) -> int:
        return self.ports.pop() if self.ports else super()._free_port()

    def _start_warden(
        self, plan: LaunchPlan, files: ReplicaFiles, port: int, fds: tuple[int, int]
    ) -> subprocess.Popen[bytes]:
        warden = super()._start_warden(plan, files, port, fds)
        self.wardens.append(warden)
        return warden


@dataclass(frozen=True)
class HalfSent(Held):
    """A request whose end has not been sent, so that the engine waits for it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def finish(self) -> int:
        try:
            self.writer.write(b"\r\n")
            head = await self.reader.read()
        except OSError:
            return 0
        finally:
            self.writer.close()
            with suppress(OSError):
                await self.writer.wait_closed()
        return int(head.split()[1]) if head else 0


class LocalWorld(ComputeWorld):
    """`LocalCompute` over toys; `engine` may be given options before a start, `ports` are what engines get first."""

    def __init__(self, home: Path, devices: DeviceBook | None = None, memory_bytes: int | None = None) -> None:
        super().__init__()
        self.home = home
        self.engine = ToyEngine()
        self.patience = PATIENCE
        self.ports: list[int] = []
        self.computes: list[LocalCompute] = []
        self._supervisors: list[WatchedSupervisor] = []
        self.devices = devices
        self._memory_bytes = memory_bytes

    async def make(self) -> LocalCompute:
        supervisor = WatchedSupervisor(self.home)
        supervisor.ports = self.ports
        policy = LocalPolicy(self._memory_bytes, self.patience, BACKOFF, 0.1, self.devices or DeviceBook())
        compute = LocalCompute({"toy": self.engine}, supervisor, SystemClock(), policy, self.hear)
        self._supervisors.append(supervisor)
        self.computes.append(compute)
        await compute.open()
        return compute

    def hear(self, replica: Replica) -> None:
        self.seen.append(replica)

    async def restart(self, compute: Compute) -> LocalCompute:
        await compute.close()
        return await self.make()

    async def end_unknown(self, compute: Compute, known: Collection[str]) -> None:
        assert isinstance(compute, LocalCompute)
        await compute.end_unknown(known)

    async def ask(self, endpoint: Endpoint) -> int:
        try:
            return (await ask(endpoint))[0]
        except OSError:
            return 0

    async def hold(self, endpoint: Endpoint) -> Held:
        port = int(endpoint.base_url.rpartition(":")[2])
        header = endpoint.auth_value.reveal() if endpoint.auth_value else ""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET / HTTP/1.0\r\nauthorization: {header}\r\n".encode())
        await writer.drain()
        return HalfSent(reader, writer)

    def pids(self, deployment: str) -> set[int]:
        """The engines and wardens: whatever process of ours names the deployment's replicas in its arguments."""
        found: set[int] = set()
        for process in psutil.process_iter(["cmdline", "status"]):
            words: list[str] = process.info["cmdline"] or []
            is_ours = any(word.startswith(str(self.home / "run" / f"{deployment}-")) for word in words)
            if is_ours and process.info["status"] != psutil.STATUS_ZOMBIE and "--secret-file" in words[:8]:
                found.add(process.pid)
        return found

    def kill(self, compute: Compute, replica: str) -> None:
        os.kill(self.engine_pid(compute, replica), signal.SIGKILL)

    def silence(self, compute: Compute, replica: str) -> None:
        os.kill(self.engine_pid(compute, replica), signal.SIGSTOP)

    def engine_pid(self, compute: Compute, replica: str) -> int:
        """Return the engine's process: the only child of the replica's warden."""
        (found,) = [each for each in compute.observe() if each.id == replica]
        assert found.pid is not None
        (engine,) = psutil.Process(found.pid).children()
        return engine.pid

    async def close(self) -> None:
        for compute in self.computes:
            await compute.close()
        if self.computes:
            last = await self.make()
            await last.end_unknown(())
            await last.close()
        for supervisor in self._supervisors:
            for warden in supervisor.wardens:
                warden.wait()
