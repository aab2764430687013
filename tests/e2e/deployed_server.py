"""A real gateway with a deployment of the real embedded model, as its operator and the operating system see it."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.running import RunningHeadrace, eventually, headrace

MODEL = "smollm2-135m"
PATH = "/v2/dedicated-inferences"
SLOW_SECONDS = 60.0


@dataclass
class Deployed:
    """A running gateway with one deployment, `prod`."""

    server: RunningHeadrace
    id: str = ""
    statuses: list[int] = field(default_factory=list[int])

    def cli(self, *arguments: str) -> Any:
        """Run a verb to its good end and return what it says in JSON."""
        done = headrace(*arguments, "--json", home=self.server.home)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def deploy(self, scale: str, idle: str) -> None:
        """Deploy the embedded model with one slot for each replica, and wait until it is active."""
        sizes = ("--slots", "1", "--context", "512", "--idle", idle)
        made = self.cli("deploy", MODEL, "--accelerator", "cpu", "--name", "prod", "--scale", scale, *sizes)
        self.id = made["dedicated_inference"]["id"]

    def get(self, path: str) -> Any:
        with self.server.client(self.server.admin_token) as client:
            reply = client.get(f"{PATH}/{self.id}{path}")
        assert reply.status_code == 200, reply.text
        return reply.json()

    def standing(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/standing")
        return found

    def pids(self) -> set[int]:
        """The engines of this home that run, as the operating system says."""
        found: set[int] = set()
        for process in psutil.process_iter(["cmdline", "status"]):
            words: list[str] = process.info["cmdline"] or []
            is_engine = any(each.endswith("llamacpp_server.py") for each in words[:4])
            is_ours = any(str(self.server.home) in each for each in words)
            if is_engine and is_ours and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
        return found

    def ask(self, max_tokens: int = 8) -> None:
        """Send one request and note its status."""
        messages = [{"role": "user", "content": "Tell me a long story."}]
        body = {"model": "prod", "max_tokens": max_tokens, "messages": messages}
        with self.server.client() as client:
            self.statuses.append(client.post("/v1/chat/completions", json=body).status_code)

    @contextmanager
    def load(self, lines: int) -> Generator[None]:
        """Keep so many requests in flight."""
        is_over = threading.Event()

        def line() -> None:
            while not is_over.is_set():
                self.ask()

        with ThreadPoolExecutor(lines) as pool:
            running = [pool.submit(line) for _ in range(lines)]
            try:
                yield
            finally:
                is_over.set()
        for each in running:
            each.result()


@contextmanager
def deployed_server(home: Path, weights: Path) -> Generator[Deployed]:
    """Run a gateway that may deploy; afterwards its deployment is deleted, and no engine of it may be left."""
    server = RunningHeadrace(home)
    server.take_weights(weights)
    with server:
        made = Deployed(server)
        yield made
        if made.id:
            headrace("deployments", "delete", "prod", home=server.home)
    eventually(lambda: made.pids() == set(), "no engine is left")
