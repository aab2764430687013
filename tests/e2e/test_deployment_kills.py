"""A replica that is killed at each moment of its life, and the books beside what the operating system saw of all."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.e2e.deployed_server import SLOW_SECONDS, Deployed, deployed_server
from tests.e2e.lifetimes import Lifetimes
from tests.ledger_file import ledger_of
from tests.running import eventually, headrace

pytestmark = pytest.mark.timeout(240)

CHAT = "/v1/chat/completions"
SECOND_MICROS = 1_000_000
LONG = "The river carries water to the wheel, and the wheel turns. " * 24
STORY = "Tell me a long story of a river."


@pytest.fixture
def deployed(smollm_path: Path, weights_cache: Path, tmp_path: Path) -> Iterator[Deployed]:
    assert smollm_path.exists()
    with deployed_server(tmp_path / "home", weights_cache) as made:
        yield made


def call(deployed: Deployed, content: str, max_tokens: int) -> httpx2.Response:
    """Send one request that is not streamed."""
    body = {"model": "prod", "max_tokens": max_tokens, "messages": [{"role": "user", "content": content}]}
    with deployed.server.client() as client:
        return client.post(CHAT, json=body)


def the_engine(deployed: Deployed, seen: Lifetimes) -> int:
    """Wait for the one engine and return its process, once it was seen: what is killed unseen has no lifetime."""
    found: set[int] = set()

    def one_is_seen() -> bool:
        found.clear()
        found.update(deployed.pids())
        return len(found) == 1 and found <= seen.started.keys()

    eventually(one_is_seen, "one engine runs", SLOW_SECONDS)
    (pid,) = found
    return pid


def kill(pid: int) -> None:
    """End a process as a crash does, and wait until it is gone."""
    process = psutil.Process(pid)
    process.kill()
    process.wait(10)


def in_flight(deployed: Deployed) -> None:
    eventually(lambda: deployed.standing()["in_flight"] == 1, "the request is at the replica", SLOW_SECONDS)


def broken_stream(deployed: Deployed, first: threading.Event) -> tuple[str, list[str]]:
    """Read a stream, telling of its first words, until it breaks; returns the request's id and its lines."""
    messages = [{"role": "user", "content": STORY}]
    body = {"model": "prod", "max_tokens": 400, "stream": True, "messages": messages}
    with deployed.server.client() as client, client.stream("POST", CHAT, json=body) as reply:
        assert reply.status_code == 200
        return reply.headers["x-request-id"], list(lines_of(reply, first))


def lines_of(reply: httpx2.Response, first: threading.Event) -> Iterator[str]:
    """Yield a stream's lines, the last of them `broken off` where it is."""
    try:
        for line in reply.iter_lines():
            yield line
            if '"content":"' in line:
                first.set()
    except httpx2.RemoteProtocolError:
        yield "broken off"


def killed_while_it_speaks(deployed: Deployed, seen: Lifetimes, before_kill: Any = None) -> None:
    """Kill the replica in the middle of a stream: it is told to be broken, and never looks complete."""
    first = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        reading: Future[tuple[str, list[str]]] = pool.submit(broken_stream, deployed, first)
        assert first.wait(SLOW_SECONDS)
        if before_kill is not None:
            before_kill()
        kill(the_engine(deployed, seen))
        request_id, lines = reading.result(SLOW_SECONDS)
    assert "data: [DONE]" not in lines
    assert any('"error"' in line for line in lines)
    assert lines[-1] == "broken off"
    attempts = deployed.server.receipt(request_id)["attempts"]
    assert [each["ending"] for each in attempts] == ["upstream_truncated"]


def test_a_replica_is_killed_at_each_moment_of_its_life(deployed: Deployed) -> None:
    deployed.deploy("0:1", "10m")
    with Lifetimes(deployed.pids) as seen, ThreadPoolExecutor(1) as pool:
        waking = pool.submit(call, deployed, STORY, 8)
        kill(the_engine(deployed, seen))
        assert waking.result(SLOW_SECONDS).status_code == 200, "killed while it starts, somebody waiting"

        kill(the_engine(deployed, seen))
        assert call(deployed, STORY, 8).status_code == 200, "killed while it has nothing to do"

        reading = pool.submit(call, deployed, LONG, 8)
        in_flight(deployed)
        kill(the_engine(deployed, seen))
        answer = reading.result(SLOW_SECONDS)
        assert answer.status_code == 200, f"killed before its first word: {answer.text}"

        killed_while_it_speaks(deployed, seen)
        assert call(deployed, STORY, 8).status_code == 200, "after that it is back"

        killed_while_it_speaks(deployed, seen, lambda: deployed.cli("deployments", "scale", "prod", "0:1"))
        deployed.cli("deployments", "delete", "prod")
        eventually(lambda: deployed.pids() == set(), "no engine is left", SLOW_SECONDS)
    deployed.id = ""
    check_books(deployed, seen)


def check_books(deployed: Deployed, seen: Lifetimes) -> None:
    """Compare each run with the life of its process, and its lines with the run."""
    with ledger_of(deployed.server) as ledger:
        runs = ledger.replica_runs()
    lives = seen.lives()
    assert len(runs) == len(lives) >= 5
    for run in runs:
        started, gone = min(lives, key=lambda life: abs(life[0] - run.started_at_micros))
        assert abs(run.started_at_micros - started) < SECOND_MICROS
        assert run.gone_at_micros is not None
        assert abs(run.gone_at_micros - gone) < SECOND_MICROS
        assert run.paid_micros == (0 if run.ready_at_micros is None else run.gone_at_micros - run.ready_at_micros)
        assert abs(run.amount_nano - run.paid_micros * run.nano_per_hour / 3_600_000_000) <= 1
    assert sum(run.ready_at_micros is not None for run in runs) >= 4
    audit = headrace("audit", "--json", home=deployed.server.home)
    assert audit.returncode == 0, json.loads(audit.stdout)


def test_seconds_are_metered_while_no_gateway_runs_too(deployed: Deployed) -> None:
    deployed.deploy("1:1", "10m")
    with Lifetimes(deployed.pids) as seen:
        pid = the_engine(deployed, seen)
        deployed.server.kill()
        kill(pid)
        deployed.server.start()
        eventually(lambda: deployed.standing()["ready"] == 1, "another replica is ready", SLOW_SECONDS)
        deployed.cli("deployments", "delete", "prod")
        eventually(lambda: deployed.pids() == set(), "no engine is left", SLOW_SECONDS)
    deployed.id = ""
    with ledger_of(deployed.server) as ledger:
        runs = ledger.replica_runs()
    lives = seen.lives()
    assert len(runs) == len(lives) == 2
    for run, (started, gone) in zip(runs, lives, strict=True):
        assert run.gone_at_micros is not None and run.ready_at_micros is not None
        assert abs(run.started_at_micros - started) < SECOND_MICROS
        assert abs(run.gone_at_micros - gone) < SECOND_MICROS
        assert run.paid_micros == run.gone_at_micros - run.ready_at_micros
