"""The edge over raw sockets: what is no HTTP is refused, and what takes too long is gone."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from headrace.drivers.tls.authority import ensure_certificate
from headrace.http.connections import ConnectionLimits
from headrace.testing.clock import FakeClock
from headrace.testing.openai_replies import Chat, chat_stream
from headrace.testing.upstream import FakeUpstream
from tests.e2e.edge_server import EdgeServer, edge_server
from tests.e2e.raw_requests import ANSWERED, CHUNKED, CLOSE, GET, POST, REFUSED
from tests.running import RunningHeadrace, eventually

GONE_SECONDS = 5.0
PAGE = "https://console.example"
QUICK = ConnectionLimits(
    head_seconds=0.5,
    head_bytes=4096,
    head_lines=20,
    body_seconds=2.0,
    body_grace_seconds=0.5,
    body_wire_bytes=4096,
    reader_seconds=0.5,
    linger_seconds=0.3,
    idle_seconds=1,
    requests_per_connection=3,
    connections_per_address=40,
)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def edge() -> AsyncIterator[EdgeServer]:
    async with edge_server(ConnectionLimits()) as server:
        yield server


@pytest.fixture
async def quick() -> AsyncIterator[EdgeServer]:
    async with edge_server(QUICK) as server:
        yield server


def status_of(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1]) if reply.startswith(b"HTTP/1.1 ") else 0


async def trickle(edge: EdgeServer, before: bytes, each: bytes) -> tuple[bytes, float]:
    """Send a first piece, then byte after byte until the server has closed; returns the reply and the seconds."""
    reader, writer = await edge.connect()
    began = time.monotonic()
    writer.write(before)
    reading = asyncio.get_running_loop().create_task(reader.read(-1))
    try:
        while not reading.done():
            writer.write(each)
            await asyncio.wait([reading], timeout=0.05)
        return reading.result(), time.monotonic() - began
    except ConnectionError:
        return b"", time.monotonic() - began
    finally:
        writer.close()


def test_the_corpus_is_large() -> None:
    assert len(REFUSED) + len(ANSWERED) >= 150


async def test_what_is_no_http_is_refused_and_the_connection_closed(edge: EdgeServer) -> None:
    wrong: list[tuple[str, bytes]] = []
    for name, raw in REFUSED.items():
        reply = await asyncio.wait_for(edge.send(raw + b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"), GONE_SECONDS)
        if status_of(reply) != 400 or b"connection: close" not in reply or reply.count(b"HTTP/1.1 400") != 1:
            wrong.append((name, reply[:80]))
    assert wrong == []
    assert edge.seen == []
    assert {(end.status, end.error_code) for end in edge.ended} == {(400, "invalid_http")}
    assert len(edge.ended) == len(REFUSED)


async def test_what_is_http_is_answered_once(edge: EdgeServer) -> None:
    for name, (raw, body) in ANSWERED.items():
        edge.seen.clear()
        reply = await asyncio.wait_for(edge.send(raw), GONE_SECONDS)
        assert (name, status_of(reply), reply.count(b"HTTP/1.1 ")) == (name, 200, 1)
        ((_, path, headers, seen),) = edge.seen
        assert (name, path, seen) == (name, "/", body)
        assert "authorization" not in headers
    assert edge.ended == []


@pytest.mark.parametrize("kind", ["bytes", "lines", "one endless line", "endless target"])
async def test_a_large_head_is_refused(quick: EdgeServer, kind: str) -> None:
    raw = {
        "bytes": GET + b"X: " + b"a" * 5000 + b"\r\n\r\n",
        "lines": GET + b"X: a\r\n" * 21 + b"\r\n",
        "one endless line": GET + b"X: " + b"a" * 5000,
        "endless target": b"GET /" + b"a" * 5000,
    }[kind]
    reply = await asyncio.wait_for(quick.send(raw), GONE_SECONDS)
    assert status_of(reply) == 431
    assert b'"headers_too_large"' in reply
    assert quick.seen == []


async def test_half_sent_heads_are_gone(quick: EdgeServer) -> None:
    head = GET + b"X: y\r\n\r\n"

    async def sent(cut: int) -> tuple[int, float]:
        began = time.monotonic()
        reply = await asyncio.wait_for(quick.send(head[:cut]), GONE_SECONDS)
        return status_of(reply), time.monotonic() - began

    gone = await asyncio.gather(*map(sent, (0, 1, 8, 20, -1)))
    assert [status for status, _ in gone] == [0, 408, 408, 408, 408]
    assert all(seconds >= QUICK.head_seconds for _, seconds in gone)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], ids=["nothing", "half"])
async def test_handshakes_that_do_not_come_are_gone(tmp_path: Path, sent: bytes) -> None:
    certificate = ensure_certificate(tmp_path, ("localhost",), FakeClock(unix_micros=time.time_ns() // 1000))
    trust = ssl.create_default_context(cafile=str(certificate.authority_file))
    async with edge_server(QUICK, certificate) as edge:
        began = time.monotonic()
        assert await edge.send(sent) == b""
        assert time.monotonic() - began < GONE_SECONDS
        async with httpx2.AsyncClient(verify=trust, trust_env=False) as client:
            reply = await client.get(f"https://localhost:{edge.port}/here")
        assert reply.json()["path"] == "/here"


async def test_half_sent_bodies_are_gone(quick: EdgeServer) -> None:
    halves = [
        POST + b"Content-Length: 9\r\n\r\n",
        POST + b"Content-Length: 9\r\n\r\nabc",
        CHUNKED,
        CHUNKED + b"3\r\nab",
    ]
    replies = await asyncio.wait_for(asyncio.gather(*(quick.send(each) for each in halves)), GONE_SECONDS)
    assert [status_of(each) for each in replies] == [408] * len(halves)
    assert quick.seen == []


async def test_trickling_senders_are_gone(quick: EdgeServer) -> None:
    played = await asyncio.gather(
        trickle(quick, GET, b"a"),
        trickle(quick, GET + b"X: ", b"a"),
        trickle(quick, b"\r\n", b"\r\n"),
        trickle(quick, POST + b"Content-Length: 4000\r\n\r\n", b"a"),
        trickle(quick, CHUNKED, b"1\r\na\r\n"),
        trickle(quick, CHUNKED + b"0\r\n", b"a"),
        trickle(quick, POST.replace(b" / ", b" /early ") + b"Content-Length: 4000\r\n\r\n", b"a"),
    )
    assert [status_of(reply) for reply, _ in played] == [408, 408, 408, 408, 408, 408, 401]
    assert all(seconds < GONE_SECONDS for _, seconds in played)


async def test_with_the_limits_that_are_shipped_a_trickler_is_gone_in_fifteen_seconds(edge: EdgeServer) -> None:
    played = await asyncio.gather(
        trickle(edge, GET, b"a"),
        trickle(edge, POST + b"Content-Length: 4000\r\n\r\n", b"a"),
        trickle(edge, CHUNKED, b"1\r\na\r\n"),
        trickle(edge, b"", b""),
    )
    assert [status_of(reply) for reply, _ in played] == [408, 408, 408, 0]
    assert [seconds for _, seconds in played if not 8 < seconds <= 15] == []


async def test_framing_that_outgrows_a_body_is_refused(quick: EdgeServer) -> None:
    reader, writer = await quick.connect()
    writer.write(CHUNKED)
    await quick.entered.wait()
    writer.write(b"1;" + b"e" * 5000)
    reply = await asyncio.wait_for(reader.read(-1), GONE_SECONDS)
    writer.close()
    assert status_of(reply) == 413


async def test_an_idle_connection_is_closed_also_after_an_early_reply(quick: EdgeServer) -> None:
    whole = quick.send(GET + b"\r\n")
    early = quick.send(POST.replace(b" / ", b" /early ") + b"Content-Length: 3\r\n\r\nabc")
    replies = await asyncio.wait_for(asyncio.gather(whole, early), GONE_SECONDS)
    assert [status_of(each) for each in replies] == [200, 401]


async def test_a_connection_serves_so_many_requests(quick: EdgeServer) -> None:
    reply = await asyncio.wait_for(quick.send((GET + b"\r\n") * 5), GONE_SECONDS)
    assert reply.count(b"HTTP/1.1 200") == QUICK.requests_per_connection
    assert reply.count(b"connection: close") == 1


async def test_connections_of_one_address_are_capped(quick: EdgeServer) -> None:
    held = [await quick.connect() for _ in range(QUICK.connections_per_address)]
    reply = await asyncio.wait_for(quick.send(b""), GONE_SECONDS)
    assert status_of(reply) == 503
    assert b"retry-after: 1" in reply
    for reader, writer in held:
        writer.close()
        await asyncio.wait_for(reader.read(-1), GONE_SECONDS)
    assert status_of(await asyncio.wait_for(quick.send(GET + CLOSE + b"\r\n"), GONE_SECONDS)) == 200


@pytest.mark.parametrize("taken_bytes", [0, 1])
async def test_a_slow_reader_is_gone_and_named(quick: EdgeServer, taken_bytes: int) -> None:
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(slow, ("127.0.0.1", quick.port))
    await loop.sock_sendall(slow, GET.replace(b" / ", b" /stream ") + b"\r\n")
    began = time.monotonic()
    while not quick.departures and time.monotonic() - began < GONE_SECONDS:
        if taken_bytes:
            await loop.sock_recv(slow, taken_bytes)
        await asyncio.sleep(0.02)
    slow.close()
    assert quick.departures == ["slow_reader"]


async def test_a_steady_reader_is_served_and_its_leaving_is_no_slowness(quick: EdgeServer) -> None:
    reader, writer = await quick.connect()
    writer.write(GET.replace(b" / ", b" /stream ") + b"\r\n")
    began = time.monotonic()
    while time.monotonic() - began < 2.5:
        assert await reader.read(16_384)
        await asyncio.sleep(0.01)
    assert quick.departures == []
    writer.transport.abort()
    await quick.left.wait()
    assert quick.departures == ["client_closed"]


async def test_a_half_sent_body_does_not_hold_up_the_end(quick: EdgeServer) -> None:
    reader, writer = await quick.connect()
    writer.write(POST + b"Content-Length: 9\r\n\r\na")
    await quick.entered.wait()
    assert quick.server is not None
    quick.server.drain()
    await asyncio.wait_for(reader.read(-1), GONE_SECONDS)
    writer.close()


async def test_the_platform_charges_a_slow_reader_and_lets_pages_call(tmp_path: Path) -> None:
    server = RunningHeadrace(tmp_path / "home", arguments=("--cors-origin", PAGE))
    text = " ".join("水" * 800 for _ in range(4000))
    async with FakeUpstream(chat_stream(Chat(text, prompt_tokens=5))) as upstream:
        server.add_provider("fake", upstream.base_url, "m")
        (server.home / "headrace.toml").write_text("[limits]\nslow_reader_seconds = 1\n")
        await asyncio.to_thread(server.start)
        request_id = await unread_stream(server)
        receipt = await asyncio.to_thread(server.receipt, request_id)
        async with httpx2.AsyncClient(base_url=server.base_url, trust_env=False) as page:
            asked = {"origin": PAGE, "access-control-request-method": "POST"}
            preflight = await page.options("/v1/chat/completions", headers=asked)
            refused = await page.post("/v1/chat/completions", headers={"origin": PAGE})
            stranger = await page.get("/v1/models", headers={"origin": "https://evil.example"})
        assert await asyncio.to_thread(server.stop) == 0
    (attempt,) = receipt["attempts"]
    assert (attempt["ending"], receipt["status"], attempt["usage"]["estimated"]) == ("slow_reader", 499, True)
    assert 0 < attempt["usage"]["output_text"] < 4000
    assert receipt["charge_nano_usd"] > 0
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, PAGE)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, PAGE)
    assert "access-control-allow-origin" not in stranger.headers


async def unread_stream(server: RunningHeadrace) -> str:
    """Ask for a stream, read its head and nothing more; returns the request's id."""
    body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(slow, ("127.0.0.1", int(server.base_url.rsplit(":", 1)[1])))
    await loop.sock_sendall(slow, head.encode() + body)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += await loop.sock_recv(slow, 200)
    lines = dict(line.split(": ", 1) for line in answer.decode("latin-1").split("\r\n")[1:] if ": " in line)
    await asyncio.to_thread(eventually, lambda: server.count("hold") == 0, "the slow reader is gone")
    slow.close()
    return lines["x-request-id"]
