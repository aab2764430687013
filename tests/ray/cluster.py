"""A Ray cluster of several nodes on this machine: started, one node killed as a machine dies, ended without a rest."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

from tests.compatibility.environments import ROOT
from tests.ray.environment import ray_program

OBJECT_STORE_BYTES = 80_000_000
START_SECONDS = 120.0


@dataclass(frozen=True)
class Node:
    """One node: its address and the process that started it and waits for it."""

    address: str
    starter: subprocess.Popen[bytes]


class RayCluster:
    """Nodes with addresses of their own on the loopback device, all below one folder; use it as a context."""

    def __init__(self, folder: Path, home: Path, cpus: int) -> None:
        self._folder = folder
        self._home = home
        self._cpus = cpus
        self._ray = ray_program()
        self.ports = {"gcs": free_port(), "dashboard": free_port(), "http": free_port()}
        self.nodes: list[Node] = []

    @property
    def dashboard(self) -> str:
        """The address that the driver is given."""
        return f"http://127.0.0.1:{self.ports['dashboard']}"

    @property
    def logs(self) -> Path:
        """The folder of Ray's logs, which all nodes of one machine share."""
        return self._folder / "session_latest" / "logs"

    def __enter__(self) -> RayCluster:
        try:
            self._start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start_all(self) -> None:
        head = ("--head", f"--port={self.ports['gcs']}", "--include-dashboard=true", "--dashboard-host=127.0.0.1")
        self._start(*head, f"--dashboard-port={self.ports['dashboard']}", f"--temp-dir={self._folder}")
        self._until(self._answers, "the head's dashboard")
        self.add_node()

    def __exit__(self, *_: object) -> None:
        processes = self.processes()
        for node in self.nodes:
            with suppress(ProcessLookupError):
                node.starter.terminate()
        psutil.wait_procs(processes, timeout=20)
        for each in self.processes() + processes:
            with suppress(psutil.Error):
                each.kill()
        for node in self.nodes:
            node.starter.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def add_node(self) -> None:
        """Let one more node join and wait until Ray knows it."""
        count = len(self.alive())
        self._start(f"--address={self.nodes[0].address}:{self.ports['gcs']}")
        self._until(lambda: len(self.alive()) > count, "one more node")

    def alive(self) -> dict[str, str]:
        """Return the nodes that live, by Ray's own word: node ids with their addresses."""
        with httpx2.Client(trust_env=False, timeout=30) as client:
            rows = client.get(f"{self.dashboard}/api/v0/nodes").json()["data"]["result"]["result"]
        return {row["node_id"]: row["node_ip"] for row in rows if row["state"] == "ALIVE"}

    def kill(self, node: str) -> float:
        """Kill a node by its id as a machine dies: raylet, workers, agents, all at once; returns when, as Unix time."""
        address = self.alive()[node]
        raylet = next(each for each in self.processes() if _is_raylet_of(each, address))
        doomed = [raylet, *raylet.children(recursive=True)]
        when = time.time()
        for each in doomed:
            with suppress(psutil.Error):
                each.send_signal(signal.SIGKILL)
        return when

    def processes(self) -> list[psutil.Process]:
        """Return every process of this cluster, with what these started."""
        starters = [node.starter.pid for node in self.nodes]
        roots = [each for each in psutil.process_iter() if each.pid in starters or self._is_of_folder(each)]
        return list({one.pid: one for each in roots for one in _with_children(each)}.values())

    def _is_of_folder(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return str(self._folder) in " ".join(process.cmdline())
        return False

    def _start(self, *options: str) -> None:
        address = f"127.0.0.{2 + len(self.nodes)}"
        environment = {
            **os.environ,  # noqa: TID251 - a child of this very interpreter
            "PYTHONPATH": str(ROOT / "src"),
            "HEADRACE_HOME": str(self._home),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_enable_metrics_collection": "0",
            # Otherwise engines run at niceness 15, behind whatever else this machine does.
            "RAY_worker_niceness": "0",
        }
        sizes = (f"--num-cpus={self._cpus}", f"--object-store-memory={OBJECT_STORE_BYTES}")
        # Nodes of one machine share its ports: without one of its own a node's agent, and its logs, cannot be reached.
        agent = f"--dashboard-agent-listen-port={free_port()}"
        command = [self._ray, "start", "--block", f"--node-ip-address={address}", "--disable-usage-stats", agent]
        with (self._folder.parent / f"node-{len(self.nodes)}.log").open("wb") as log:
            starter = subprocess.Popen(
                [*command, *sizes, *options],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.nodes.append(Node(address, starter))

    def _answers(self) -> bool:
        try:
            return bool(self.alive())
        except (httpx2.HTTPError, KeyError, ValueError):
            return False

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            ended = [node.address for node in self.nodes if node.starter.poll() is not None]
            assert not ended, f"ray start ended on {ended}"
            assert time.monotonic() < deadline, f"not in time: {what}"
            time.sleep(0.2)


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_raylet_of(process: psutil.Process, address: str) -> bool:
    with suppress(psutil.Error):
        return process.name() == "raylet" and f"--node_ip_address={address}" in process.cmdline()
    return False


def _with_children(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return [process, *process.children(recursive=True)]
    return []
