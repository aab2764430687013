"""Row 25 of the failure contract: whoever reads the log may hang or be gone; requests do not hear of it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from headrace.testing.openai_replies import chat_reply
from headrace.testing.upstream import running_upstream
from tests.running import RunningHeadrace

CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
# Far more lines than a pipe holds.
REFUSED = 1_000


@dataclass
class PipedHeadrace(RunningHeadrace):
    """A server whose log goes into a pipe that nobody reads."""

    def launch(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it; the pipe is the process's `stderr`."""
        self.home.mkdir(parents=True, exist_ok=True)
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}  # noqa: TID251 - a child's environment
        self._file("log").touch()
        with self._file("out").open("w") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "headrace", "serve", "--home", str(self.home), "--port", "0", "--log", "json"],
                env=inherited,
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
            )


def test_a_log_that_nobody_reads_stops_no_request(tmp_path: Path) -> None:
    server = PipedHeadrace(tmp_path / "home")
    with running_upstream(chat_reply("hi")) as upstream:
        server.add_provider("fake", upstream.base_url, "m")
        with server, server.client() as client:
            assert server.process is not None
            log = cast("IO[str]", server.process.stderr)
            for _ in range(REFUSED):
                assert client.post(CHAT, json={**BODY, "model": "nobody"}).status_code == 404
            assert client.post(CHAT, json=BODY).status_code == 200
            assert server.stop() == 0
            lines = log.read().splitlines()
            log.close()
    assert 100 < len(lines) < REFUSED
    assert all(line.startswith("{") for line in lines)


def test_a_log_whose_reader_is_gone_stops_no_request(tmp_path: Path) -> None:
    server = PipedHeadrace(tmp_path / "home")
    with running_upstream(chat_reply("hi")) as upstream:
        server.add_provider("fake", upstream.base_url, "m")
        with server, server.client() as client:
            assert server.process is not None
            cast("IO[str]", server.process.stderr).close()
            assert client.post(CHAT, json={**BODY, "model": "nobody"}).status_code == 404
            assert client.post(CHAT, json=BODY).status_code == 200
            assert server.stop() == 0
