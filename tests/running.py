"""A real `headrace serve` process on a real port for end-to-end tests: started, asked, killed and started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

READY_SECONDS = 60.0
POLL_SECONDS = 0.02
SOON_SECONDS = 15.0


def _link_or_copy(source: str, destination: str) -> None:
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)


def eventually(holds: Callable[[], bool], what: str, seconds: float = SOON_SECONDS) -> float:
    """Poll another process until something holds; returns how many seconds it took, raises AssertionError."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < seconds, f"not within {seconds} s: {what}"
        time.sleep(POLL_SECONDS)
    return time.monotonic() - started


def headrace(
    *arguments: str, stdin: str = "", home: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one verb of the command line to its end."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}  # noqa: TID251 - a child's environment
    where = {} if home is None else {"HEADRACE_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "headrace", *arguments],
        input=stdin,
        env={**inherited, **where, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@dataclass
class RunningHeadrace:
    """One installation: a home and, while it runs, a process; use it as a context manager.

    `store` is the address of a PostgreSQL database, empty for SQLite in the home.
    """

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    arguments: tuple[str, ...] = ()
    module: tuple[str, ...] = ("headrace",)
    process: subprocess.Popen[str] | None = None
    base_url: str = ""
    starts: int = 0
    store: str = ""

    def __enter__(self) -> RunningHeadrace:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def start(self, *arguments: str) -> None:
        """Start the server and wait until it answers; raises AssertionError with its output when it does not."""
        self.starts += 1
        self.process = self.launch(*arguments)
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if self._is_ready(self.process.pid):
                return
            time.sleep(POLL_SECONDS)
        raise AssertionError(f"headrace did not become ready:\n{self.output}\n{self.log}")

    def launch(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a server process without waiting for it; its output is in `output`, its log in `log`."""
        self.home.mkdir(parents=True, exist_ok=True)
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}  # noqa: TID251 - a child's environment
        served = ["serve", "--home", str(self.home), "--port", "0", "--log", "json"]
        command = [sys.executable, "-m", *self.module, *served]
        with self._file("out").open("w") as out, self._file("log").open("w") as log:
            return subprocess.Popen(
                [*command, *self.arguments, *arguments],
                env={**inherited, **self.environment, **self._where()},
                stdout=out,
                stderr=log,
                text=True,
            )

    def _where(self) -> Mapping[str, str]:
        """Return the variable that names a file with the store's address, where there is one."""
        if not self.store:
            return {}
        file = self.home.parent / f"{self.home.name}.address"
        file.write_text(f"{self.store}\n")
        return {"HEADRACE_STORE": str(file)}

    def kill(self) -> None:
        """End the process by SIGKILL."""
        if self.process is None:
            raise AssertionError("it was not started")
        self.process.kill()
        self.process.wait(10)

    def stop(self, timeout_seconds: float = 30.0) -> int:
        """End the process by SIGTERM and return its exit status."""
        if self.process is None:
            raise AssertionError("it was not started")
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_seconds)

    @property
    def output(self) -> str:
        """What the last process has printed."""
        return self._file("out").read_text()

    @property
    def log(self) -> str:
        """What the last process has logged."""
        return self._file("log").read_text()

    @property
    def credentials(self) -> dict[str, str]:
        """What HOME/credentials.json says."""
        found: dict[str, str] = json.loads((self.home / "credentials.json").read_text())
        return found

    @property
    def api_key(self) -> str:
        """The first model access key."""
        return self.credentials["api_key"]

    @property
    def admin_token(self) -> str:
        """The admin token."""
        return self.credentials["admin_token"]

    def client(self, token: str | None = None) -> httpx2.Client:
        """Return an HTTP client with a credential, the first key when none is given."""
        headers = {"authorization": f"Bearer {token or self.api_key}"}
        # It never speaks TLS, and reading the system's authorities takes longer than most requests.
        unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return httpx2.Client(base_url=self.base_url, headers=headers, timeout=60, trust_env=False, verify=unused)

    def receipt(self, request_id: str) -> dict[str, Any]:
        """Return a request's receipt, as the operator sees it."""
        with self.client(self.admin_token) as client:
            reply = client.get(f"/v2/requests/{request_id}")
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    def add_provider(self, name: str, base_url: str, *models: str, adapter: str | None = None) -> None:
        """Write a provider file for an OpenAI-compatible upstream; each model is named as the upstream names it."""
        folder = self.home / "catalog"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [
            "[provider]",
            f'name = "{name}"',
            f'display_name = "{name}"',
            'wire_format = "openai"',
            *([] if adapter is None else [f'adapter = "{adapter}"']),
            f'base_url = "{base_url}"',
            'auth = "none"',
            'docs_url = "https://example.com"',
            "checked_on = 2026-11-24",
        ]
        for model in models:
            lines += [
                "[[models]]",
                f'id = "{model}"',
                f'upstream_name = "{model}-upstream"',
                f'display_name = "{model}"',
                'owned_by = "tests"',
                'kind = "chat"',
                'capabilities = ["streaming", "tools", "tool_choice", "json_object", "json_schema", "logprobs", '
                '"multiple_choices", "seed"]',
                "context_length = 100000",
                "max_output_tokens = 4096",
                "released_on = 2026-01-01",
                'source = "https://example.com"',
                "checked_on = 2026-11-24",
                "[[models.prices]]",
                "effective = 2026-01-01",
                'source = "tests"',
                'input = "0.10"',
                'cache_read = "0.01"',
                'output = "0.20"',
            ]
        (folder / f"{name}.toml").write_text("\n".join(lines) + "\n")

    def take_weights(self, cache: Path) -> None:
        """Link verified weights from a cache, so that no test downloads them twice."""
        shutil.copytree(cache / "weights", self.home / "weights", copy_function=_link_or_copy, dirs_exist_ok=True)

    def count(self, table: str) -> int:
        """Return how many rows a table of the store has; `hold` has one for each open hold."""
        with closing(sqlite3.connect(f"file:{self.home / 'headrace.db'}?mode=ro", uri=True)) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def _file(self, kind: str) -> Path:
        return self.home.parent / f"{self.home.name}-{self.starts}.{kind}"

    def _is_ready(self, pid: int) -> bool:
        file = self.home / "credentials.json"
        if "Headrace is ready" not in self.output or not file.exists():
            return False
        self.base_url = self.credentials["base_url"]
        return pid > 0
