"""An installation on PostgreSQL: started by an address in a file, killed, cut off from its database, moved to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from headrace.testing.openai_replies import chat_reply
from headrace.testing.upstream import FakeUpstream, running_upstream
from headrace.testing.waiting import Gate
from tests.postgres_server import drop_databases, postgres_server
from tests.running import RunningHeadrace, eventually, headrace

CHAT = "/v1/chat/completions"
FAKE = "fake-chat"
BODY: dict[str, Any] = {"model": FAKE, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with running_upstream() as found:
        yield found


@pytest.fixture
def url() -> Iterator[str]:
    yield postgres_server().empty()
    drop_databases()


@pytest.fixture
def server(tmp_path: Path, upstream: FakeUpstream) -> Iterator[RunningHeadrace]:
    """An installation that was not started yet."""
    found = RunningHeadrace(tmp_path / "home")
    found.add_provider("fake", upstream.base_url, FAKE)
    try:
        yield found
    finally:
        if found.process is not None and found.process.poll() is None:
            found.kill()


def on_postgres(server: RunningHeadrace, url: str) -> dict[str, str]:
    """Write the address to a file and return the environment that names it."""
    file = server.home.parent / "store.address"
    file.write_text(f"{url}\n")
    server.environment = {"HEADRACE_STORE": str(file)}
    return {"HEADRACE_STORE": str(file)}


def call(server: RunningHeadrace) -> httpx2.Response:
    with server.client() as client:
        return client.post(CHAT, json=BODY)


def asked(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def audited(server: RunningHeadrace, environment: dict[str, str]) -> dict[str, Any]:
    told = headrace("audit", "--json", home=server.home, environment=environment)
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def test_calls_are_booked_in_postgres_and_survive_a_kill(
    server: RunningHeadrace, url: str, upstream: FakeUpstream
) -> None:
    environment = on_postgres(server, url)
    server.start()
    assert call(server).status_code == 200
    with server.client(server.admin_token) as client:
        store = client.get("/v2/version").json()["store"]
    assert (store["library"][:13], store["synchronous"]) == ("PostgreSQL 18", "on")

    second = RunningHeadrace(server.home.with_name("second"), environment=environment)
    with pytest.raises(AssertionError, match=r"in use by another Headrace \(headrace .* pid"):
        second.start()

    gate = Gate()
    upstream.follow(chat_reply().hold(gate, before_frame=0))
    with ThreadPoolExecutor(1) as pool:
        cut = pool.submit(call, server)
        eventually(lambda: asked(url, "SELECT count(sent_at_micros) FROM hold") == [(1,)], "a call is sent")
        server.kill()
        with pytest.raises(httpx2.HTTPError):
            cut.result()
    gate.release()
    upstream.follow(chat_reply())
    server.start()
    assert call(server).status_code == 200
    assert asked(url, "SELECT outcome, count(*) FROM resolution GROUP BY 1") == [("settled", 3)]
    assert asked(url, "SELECT held_nano FROM scope WHERE scope = 'platform'") == [(0,)]
    assert audited(server, environment)["ok"]
    assert server.stop() == 0
    assert not (server.home / "headrace.db").exists()


def test_a_database_that_is_away_gives_503_and_comes_back_without_a_restart(
    server: RunningHeadrace, url: str, upstream: FakeUpstream
) -> None:
    on_postgres(server, url)
    server.start()
    assert call(server).status_code == 200
    sent = len(upstream.requests)
    name = url.partition("@/")[2].partition("?")[0]
    postgres = postgres_server()
    postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    refused = call(server)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "metering_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    assert len(upstream.requests) == sent
    with server.client() as client:
        assert client.get("/v1/models").status_code == 200
        assert client.get("/readyz").status_code == 503
        postgres.run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        eventually(lambda: client.get("/readyz").status_code == 200, "the store is back")
    assert call(server).status_code == 200
    assert asked(url, "SELECT count(*) FROM attempt") == [(2,)]


def test_an_installation_moves_with_its_keys_and_goes_on(server: RunningHeadrace, url: str) -> None:
    server.start()
    assert call(server).status_code == 200
    busy = headrace("migrate", "--to", url, home=server.home)
    assert busy.returncode != 0
    assert "in use by another Headrace" in busy.stderr
    server.stop()
    moved = headrace("migrate", "--to", url, "--json", home=server.home)
    assert moved.returncode == 0, moved.stderr
    told = json.loads(moved.stdout)
    assert (told["rows"]["attempt"], told["rows"]["access_key"]) == (1, 2)
    assert int(told["spent_nano"]) > 0

    stale = headrace("serve", "--port", "0", home=server.home)
    assert stale.returncode != 0
    assert "were moved to postgresql://" in stale.stderr
    environment = on_postgres(server, url)
    server.start()
    assert call(server).status_code == 200
    assert asked(url, "SELECT count(*) FROM attempt") == [(2,)]
    assert audited(server, environment)["ok"]
