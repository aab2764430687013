"""Transports over real sockets: every way an upstream can fail has its name, and nothing is retried."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from headrace.domain.errors import HeadraceError
from headrace.domain.plan import Deadlines, Endpoint
from headrace.domain.secret import Secret
from headrace.drivers.tls.authority import ServerCertificate, ensure_certificate
from headrace.drivers.transports.http1_transport import Http1Transport
from headrace.ports.upstream import Exchange, Prepared, Transport
from headrace.testing.clock import FakeClock
from headrace.testing.openai_replies import chat_reply, chat_stream, error_reply
from headrace.testing.script import FaultKind, Reply, Script, raw_reply
from headrace.testing.upstream import FakeUpstream
from headrace.testing.waiting import Gate
from tests.contract.aiohttp_transport import AiohttpTransport

pytestmark = pytest.mark.anyio

Build: TypeAlias = type[Http1Transport] | type[AiohttpTransport]
QUICK = Deadlines(connect_seconds=2.0, first_event_seconds=2.0, between_events_seconds=0.05, total_seconds=2.0)
PATIENT = Deadlines()
ASKED = Prepared("/chat/completions", b'{"model":"m"}', stream=True)


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both event loops: the product's, and the one that most tests run on."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(params=[Http1Transport, AiohttpTransport])
def build(request: pytest.FixtureRequest) -> Build:
    """The product's transport, and the one on aiohttp that it is compared with."""
    return request.param


@asynccontextmanager
async def upstream_and_transport(build: Build, script: Script) -> AsyncGenerator[tuple[FakeUpstream, Transport]]:
    async with FakeUpstream(script) as upstream, build("headrace/test") as transport:
        yield upstream, transport


async def send(
    transport: Transport, upstream: FakeUpstream, deadlines: Deadlines = PATIENT, prepared: Prepared = ASKED
) -> Exchange:
    return await transport.send(Endpoint(upstream.base_url), prepared, deadlines)


async def read_all(exchange: Exchange) -> bytes:
    body = b""
    try:
        while (block := await exchange.read()) is not None:
            assert block
            body += block
    finally:
        await exchange.close()
    return body


async def failure(
    build: Build, reply: Reply, deadlines: Deadlines = QUICK, prepared: Prepared = ASKED
) -> HeadraceError:
    async with upstream_and_transport(build, reply) as (upstream, transport):
        with pytest.raises(HeadraceError) as caught:
            await read_all(await send(transport, upstream, deadlines, prepared))
        assert len(upstream.requests) == 1
        return caught.value


async def test_what_the_upstream_receives(build: Build) -> None:
    async with upstream_and_transport(build, chat_reply()) as (upstream, transport):
        endpoint = Endpoint(upstream.base_url, "authorization", Secret("Bearer sk-1"))
        prepared = Prepared("/chat/completions", b'{"model":"m"}', stream=False, headers=(("x-more", "yes"),))
        assert await read_all(await transport.send(endpoint, prepared, PATIENT)) == chat_reply().body
        [request] = upstream.requests
        assert (request.method, request.path, request.body) == ("POST", "/v1/chat/completions", b'{"model":"m"}')
        assert request.header("authorization") == "Bearer sk-1"
        assert request.header("content-type") == "application/json"
        assert request.header("accept-encoding") == "identity"
        assert request.header("user-agent") == "headrace/test"
        assert request.header("x-more") == "yes"
        assert request.header("cookie") is None


async def test_status_and_headers_are_here_before_the_body(build: Build) -> None:
    gate = Gate()
    reply = error_reply(429, retry_after=7).hold(gate, 0)
    async with upstream_and_transport(build, reply) as (upstream, transport):
        exchange = await send(transport, upstream)
        assert exchange.status == 429
        assert exchange.headers.get("retry-after") == "7"
        assert exchange.headers.get("Retry-After") == "7"
        gate.release()
        assert await read_all(exchange) == reply.body


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_a_stream_comes_as_it_was_sent(build: Build, size: int) -> None:
    reply = chat_stream("水 flows \U0001f600").split_every(size)
    async with upstream_and_transport(build, reply) as (upstream, transport):
        assert await read_all(await send(transport, upstream)) == reply.body


async def test_frames_come_through_one_by_one(build: Build) -> None:
    gate = Gate()
    reply = chat_stream("one two").hold(gate, 1)
    async with upstream_and_transport(build, reply) as (upstream, transport):
        exchange = await send(transport, upstream)
        assert await exchange.read() == reply.frames[0].data
        gate.release()
        assert await read_all(exchange) == reply.body[len(reply.frames[0].data) :]


async def test_nobody_listens(build: Build) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with build("t") as transport:
            with pytest.raises(HeadraceError) as caught:
                await transport.send(Endpoint(f"http://127.0.0.1:{taken.getsockname()[1]}"), ASKED, QUICK)
    assert (caught.value.code, caught.value.status) == ("upstream_unreachable", 502)


async def test_an_address_that_is_none(build: Build) -> None:
    async with build("t") as transport:
        with pytest.raises(HeadraceError) as caught:
            await transport.send(Endpoint("http://:0:bad"), ASKED, QUICK)
    assert caught.value.code == "upstream_unreachable"


async def test_a_connection_that_is_never_accepted(build: Build) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting: list[socket.socket] = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            waiting.append(filler)
        deadlines = Deadlines(connect_seconds=0.05)
        async with build("t") as transport:
            with pytest.raises(HeadraceError) as caught:
                await transport.send(Endpoint(f"http://127.0.0.1:{address[1]}"), ASKED, deadlines)
        for filler in waiting:
            filler.close()
    assert (caught.value.code, caught.value.status) == ("upstream_unreachable", 504)


@pytest.mark.parametrize(("kind", "code"), [("cut", "upstream_unavailable"), ("reset", "upstream_unavailable")])
async def test_a_connection_that_ends_before_the_answer(build: Build, kind: FaultKind, code: str) -> None:
    assert (await failure(build, chat_stream().without_headers(kind))).code == code


@pytest.mark.parametrize("stream", [True, False])
async def test_silence_before_the_answer(build: Build, stream: bool) -> None:
    short = Deadlines(first_event_seconds=0.05 if stream else 9.0, between_events_seconds=9.0, total_seconds=0.05)
    prepared = Prepared("/chat/completions", b"{}", stream=stream)
    error = await failure(build, chat_stream().without_headers("stall"), short, prepared)
    assert (error.code, error.status) == ("upstream_timeout", 504)


@pytest.mark.parametrize("stream", [True, False])
async def test_the_first_byte_may_take_longer_than_the_silence_between_two(build: Build, stream: bool) -> None:
    reply = chat_stream() if stream else chat_reply()
    deadlines = Deadlines(first_event_seconds=5.0, between_events_seconds=0.01, total_seconds=5.0)
    slow = reply.delayed(before_headers_seconds=0.06)
    async with upstream_and_transport(build, slow) as (upstream, transport):
        prepared = Prepared("/chat/completions", b"{}", stream=stream)
        assert await read_all(await send(transport, upstream, deadlines, prepared)) == reply.body


@pytest.mark.parametrize("size", [1 << 20, 7])
async def test_what_came_before_a_break_is_given_out_first(build: Build, size: int) -> None:
    async with upstream_and_transport(build, chat_stream().split_every(size).cut(200)) as (upstream, transport):
        exchange = await send(transport, upstream)
        await upstream.log.until_ended()
        for _ in range(50):
            await asyncio.sleep(0)
        body = b""
        with pytest.raises(HeadraceError) as caught:
            while (block := await exchange.read()) is not None:
                body += block
        await exchange.close()
    assert body == chat_stream().body[:200]
    assert caught.value.code == "upstream_truncated"


@pytest.mark.parametrize("after", [0, 1, 200])
@pytest.mark.parametrize(("kind", "code"), [("cut", "upstream_truncated"), ("reset", "upstream_truncated")])
async def test_an_answer_that_breaks_off(build: Build, kind: FaultKind, code: str, after: int) -> None:
    reply = chat_stream().cut(after) if kind == "cut" else chat_stream().reset(after)
    assert (await failure(build, reply)).code == code


async def test_a_whole_body_with_a_length_that_breaks_off(build: Build) -> None:
    assert (await failure(build, chat_reply().cut(20))).code == "upstream_truncated"


async def test_an_answer_that_falls_silent(build: Build) -> None:
    error = await failure(build, chat_stream().stall(200))
    assert (error.code, error.status) == ("upstream_stalled", 504)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_an_answer_and_is_not_followed(build: Build, status: int) -> None:
    async with FakeUpstream(chat_reply()) as elsewhere:
        reply = Reply(status=status, headers={"location": f"{elsewhere.base_url}/chat/completions"})
        async with upstream_and_transport(build, reply) as (upstream, transport):
            endpoint = Endpoint(upstream.base_url, "authorization", Secret("Bearer sk-1"))
            exchange = await transport.send(endpoint, ASKED, PATIENT)
            assert exchange.status == status
            await exchange.close()
        assert elsewhere.requests == ()


async def test_an_answer_that_is_not_http(build: Build) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server, build("t") as transport:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(HeadraceError) as caught:
            await transport.send(Endpoint(f"http://127.0.0.1:{port}"), ASKED, QUICK)
    assert caught.value.code == "upstream_protocol"


async def test_the_limit_of_silence_does_not_matter_for_an_answer_in_one_piece(build: Build) -> None:
    gate = Gate()
    reply = chat_reply().hold(gate, 1)
    async with upstream_and_transport(build, reply) as (upstream, transport):
        exchange = await send(transport, upstream)
        await gate.reached()
        gate.release()
        assert await read_all(exchange) == reply.body


async def test_a_connection_is_used_again_when_its_answer_was_read(build: Build) -> None:
    async with upstream_and_transport(build, chat_reply()) as (upstream, transport):
        for _ in range(3):
            await read_all(await send(transport, upstream))
        assert len(upstream.requests) == 3
        assert upstream.connections == 1


async def test_a_stream_read_to_its_end_leaves_its_connection_usable(build: Build) -> None:
    async with upstream_and_transport(build, chat_stream()) as (upstream, transport):
        for _ in range(3):
            await read_all(await send(transport, upstream))
        assert upstream.connections == 1


async def test_a_connection_that_the_upstream_closed_meanwhile_is_not_used_again(build: Build) -> None:
    reply = raw_reply(b"{}")
    closing = Reply(headers={**reply.headers, "connection": "close"}, frames=reply.frames)
    async with upstream_and_transport(build, closing) as (upstream, transport):
        for _ in range(2):
            await read_all(await send(transport, upstream))
        assert upstream.connections == 2


async def test_a_failure_is_never_tried_again(build: Build) -> None:
    replies = [chat_reply(), chat_reply().without_headers()]
    async with upstream_and_transport(build, replies) as (upstream, transport):
        await read_all(await send(transport, upstream))
        with pytest.raises(HeadraceError):
            await send(transport, upstream)
        assert len(upstream.requests) == 2


async def test_closing_in_the_middle_drops_the_upstream(build: Build) -> None:
    gate = Gate()
    async with upstream_and_transport(build, chat_stream("one two three").hold(gate, 2)) as (upstream, transport):
        exchange = await send(transport, upstream)
        assert await exchange.read() is not None
        await exchange.close()
        [ended] = await upstream.log.until_ended()
        assert ended.ending == "client_left"


async def test_a_cancelled_read_can_be_closed(build: Build) -> None:
    gate = Gate()
    async with upstream_and_transport(build, chat_stream().hold(gate, 0)) as (upstream, transport):
        exchange = await send(transport, upstream)
        reading = asyncio.get_running_loop().create_task(exchange.read())
        await gate.reached()
        reading.cancel()
        await asyncio.wait([reading])
        await exchange.close()
        [ended] = await upstream.log.until_ended()
        assert ended.ending == "client_left"


async def test_a_cancelled_send_drops_the_upstream(build: Build) -> None:
    gate = Gate()
    async with upstream_and_transport(build, chat_stream().hold_headers(gate)) as (upstream, transport):
        sending = asyncio.get_running_loop().create_task(send(transport, upstream))
        await gate.reached()
        sending.cancel()
        await asyncio.wait([sending])
        [ended] = await upstream.log.until_ended()
        assert ended.ending == "client_left"


def server_context(files: ServerCertificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate_file, files.key_file)
    return context


async def test_a_trusted_certificate_is_accepted(build: Build, tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, ["127.0.0.1"], FakeClock(1_795_521_600_000_000))
    async with (
        FakeUpstream(chat_reply(), tls=server_context(files)) as upstream,
        build("t", str(files.authority_file)) as transport,
    ):
        assert await read_all(await send(transport, upstream)) == chat_reply().body


@pytest.mark.parametrize("trust", [True, False])
async def test_a_bad_certificate_is_refused_before_anything_is_sent(build: Build, tmp_path: Path, trust: bool) -> None:
    files = ensure_certificate(tmp_path, ["elsewhere.example.com"], FakeClock(1_795_521_600_000_000))
    async with FakeUpstream(chat_reply(), tls=server_context(files)) as upstream:
        async with build("t", str(files.authority_file) if trust else None) as transport:
            with pytest.raises(HeadraceError) as caught:
                await send(transport, upstream)
        assert upstream.requests == ()
    assert (caught.value.code, caught.value.status) == ("upstream_tls", 502)


@pytest.mark.parametrize("kind", ["cut", "reset"])
async def test_a_reused_connection_that_dies_before_an_answer_is_told_apart(build: Build, kind: FaultKind) -> None:
    dead = chat_reply().without_headers(kind)
    async with upstream_and_transport(build, [dead, chat_reply(), chat_reply(), dead]) as (upstream, transport):
        with pytest.raises(HeadraceError) as fresh:
            await send(transport, upstream)
        await read_all(await send(transport, upstream))
        await read_all(await send(transport, upstream))
        with pytest.raises(HeadraceError) as reused:
            await send(transport, upstream)
        assert [each.connection for each in upstream.requests] == [1, 2, 2, 2]
    assert (fresh.value.code, reused.value.code) == ("upstream_unavailable", "conn_reused_retry")


async def test_a_silent_or_cut_head_on_a_reused_connection_is_no_race(build: Build) -> None:
    silent = chat_reply().without_headers("stall")
    async with upstream_and_transport(build, [chat_reply(), silent]) as (upstream, transport):
        await read_all(await send(transport, upstream))
        with pytest.raises(HeadraceError) as caught:
            await send(transport, upstream, Deadlines(2.0, 0.05, 0.05, 0.05))
    assert caught.value.code == "upstream_timeout"


async def test_a_transport_that_is_not_open_is_a_defect(build: Build) -> None:
    transport = build("t")
    with pytest.raises(AssertionError):
        await transport.send(Endpoint("http://127.0.0.1:1"), ASKED, QUICK)
    await transport.__aexit__(None, None, None)


@pytest.mark.parametrize("split", [1, 7, 4096])
async def test_a_refusal_that_repeats_the_credential_comes_without_it(build: Build, split: int) -> None:
    refusal = error_reply(400, "Incorrect API key provided: secret-1234.").split_every(split)
    async with upstream_and_transport(build, refusal) as (upstream, transport):
        endpoint = Endpoint(upstream.base_url, "Authorization", Secret("Bearer secret-1234"))
        exchange = await transport.send(endpoint, ASKED, PATIENT)
        body = await read_all(exchange)
        assert upstream.requests[0].header("authorization") == "Bearer secret-1234"
    assert exchange.status == 400 and exchange.headers["Content-Type"] == "application/json"
    assert b"secret-1234" not in body and b"provided: [hidden]." in body
