"""The product's own transport: what it sends, whom it keeps, what it leaves behind when a caller leaves."""

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from headrace.domain.errors import HeadraceError
from headrace.domain.plan import Deadlines, Endpoint
from headrace.domain.secret import Secret
from headrace.drivers.tls.authority import ServerCertificate, ensure_certificate
from headrace.drivers.transports.http1_connection import HIGH_WATER_BYTES
from headrace.drivers.transports.http1_pool import Http1Pool
from headrace.drivers.transports.http1_request import Origin
from headrace.drivers.transports.http1_transport import MAX_ROUTES, Http1Transport
from headrace.ports.upstream import Exchange, Prepared, Transport
from headrace.testing.clock import FakeClock
from headrace.testing.openai_replies import chat_reply, chat_stream
from headrace.testing.upstream import FakeUpstream
from headrace.testing.waiting import Gate
from tests.contract.raw_upstream import Played, RawRequest, RawUpstream, trusting_nobody

pytestmark = pytest.mark.anyio

ASKED = Prepared("/chat", b"{}", stream=True)
PATIENT = Deadlines(4.0, 4.0, 4.0, 4.0)
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both event loops: the product's, and the one that most tests run on."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(autouse=True)
def nothing_unclosed() -> Generator[None]:
    """What a test leaves open is collected now, and its warning fails this test and no later one."""
    gc.freeze()
    yield
    gc.collect()
    gc.unfreeze()


@asynccontextmanager
async def leaving_nothing(upstream: RawUpstream, ca_file: Path | None = None) -> AsyncGenerator[Transport]:
    """A transport that ends with no task and no connection left."""
    before = asyncio.all_tasks()
    tls = trusting_nobody() if ca_file is None else None
    async with Http1Transport("headrace/test", None if ca_file is None else str(ca_file), tls=tls) as transport:
        yield transport
    await upstream.until(lambda: upstream.open == 0)
    assert {task for task in asyncio.all_tasks() - before if "RawUpstream" not in repr(task)} == set()


async def turns(count: int) -> None:
    """Let the event loop turn: what has arrived is read."""
    for _ in range(count):
        await asyncio.sleep(0)


def server_context(files: ServerCertificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate_file, files.key_file)
    return context


async def read_all(exchange: Exchange) -> bytes:
    body = b""
    try:
        while (block := await exchange.read()) is not None:
            body += block
    finally:
        await exchange.close()
    return body


async def ask(transport: Transport, base_url: str, prepared: Prepared = ASKED) -> bytes:
    return await read_all(await transport.send(Endpoint(base_url), prepared, PATIENT))


def echo(request: RawRequest) -> Played:
    """The request's body in two chunks, in four segments."""
    body, half = request.body, len(request.body) // 2
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part]
    return Played((OK, b"transfer-encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n"))


def with_length(body: bytes) -> bytes:
    return OK + b"content-length: %d\r\n\r\n%b" % (len(body), body)


async def test_the_request_byte_for_byte() -> None:
    async with RawUpstream(Played((with_length(b"ok"),))) as upstream, leaving_nothing(upstream) as transport:
        endpoint = Endpoint(upstream.base_url + "/v1", "authorization", Secret("Bearer sk-1"))
        prepared = Prepared("/chat completions/ü", b'{"a":1}', stream=False, headers=(("X-More", "yes"),))
        assert await read_all(await transport.send(endpoint, prepared, PATIENT)) == b"ok"
        [request] = upstream.requests
        assert request.body == b'{"a":1}'
        assert request.head.decode().split("\r\n") == [
            "POST /v1/chat%20completions/%C3%BC HTTP/1.1",
            f"Host: {upstream.base_url.removeprefix('http://')}",
            "User-Agent: headrace/test",
            "Accept: */*",
            "Accept-Encoding: identity",
            "Content-Type: application/json",
            "X-More: yes",
            "authorization: Bearer sk-1",
            "Content-Length: 7",
            "",
            "",
        ]


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "a\rb", "a\0b", "水"])
@pytest.mark.parametrize("where", ["credential", "header"])
async def test_a_header_that_would_end_early_is_never_sent(value: str, where: str) -> None:
    async with RawUpstream(Played((with_length(b""),))) as upstream, leaving_nothing(upstream) as transport:
        secret = Secret(f"Bearer {value}" if where == "credential" else "Bearer sk-1")
        headers = (("x-more", value),) if where == "header" else ()
        prepared = Prepared("/chat", b"{}", stream=True, headers=headers)
        with pytest.raises(HeadraceError) as caught:
            await transport.send(Endpoint(upstream.base_url, "authorization", secret), prepared, PATIENT)
        assert upstream.accepted == 0
    told = f"{caught.value.message} {caught.value.detail} {caught.value.__cause__!r}"
    assert caught.value.code == "upstream_unreachable" and value not in told and "sk-1" not in told


async def test_a_large_request_body_arrives_whole() -> None:
    body = bytes(range(256)) * 20_000
    played = Played((with_length(b"ok"),))
    async with RawUpstream(played) as upstream, leaving_nothing(upstream) as transport:
        assert await ask(transport, upstream.base_url, Prepared("/chat", body, stream=False)) == b"ok"
        assert upstream.requests[0].body == body


async def test_an_upstream_that_is_not_read_has_to_wait() -> None:
    whole = b"0123456789abcdef" * 524_288
    async with RawUpstream(Played((with_length(whole),))) as upstream, leaving_nothing(upstream) as transport:
        exchange = await transport.send(Endpoint(upstream.base_url), ASKED, PATIENT)
        await turns(200)
        first = await exchange.read()
        assert first is not None and len(first) <= 3 * HIGH_WATER_BYTES
        assert first + await read_all(exchange) == whole
        assert await ask(transport, upstream.base_url) == whole
        assert upstream.accepted == 1


async def test_an_unread_answer_that_came_whole_is_no_reason_to_close() -> None:
    gate = Gate()
    async with FakeUpstream(chat_reply()) as upstream, Http1Transport("t") as transport:
        exchange = await transport.send(
            Endpoint(upstream.base_url), Prepared("/chat/completions", b"{}", False), PATIENT
        )
        await upstream.log.until_ended()
        await turns(20)
        await exchange.close()
        await exchange.close()
        upstream.follow(chat_stream().hold(gate, 1))
        with pytest.raises(AssertionError):
            await exchange.read()
        again = await transport.send(Endpoint(upstream.base_url), ASKED, PATIENT)
        gate.release()
        assert await read_all(again) == chat_stream().body
        assert upstream.connections == 1


@pytest.mark.parametrize("tls", [False, True])
async def test_a_caller_that_leaves_at_any_moment_leaves_nothing_and_spoils_nothing(tls: bool, tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, ["127.0.0.1"], FakeClock(1_795_521_600_000_000))
    loop, kinds = asyncio.get_running_loop(), set[str]()
    async with (
        RawUpstream(echo, tls=server_context(files) if tls else None) as upstream,
        leaving_nothing(upstream, files.authority_file) as transport,
    ):
        for number in range(90):
            mine = Prepared("/chat", b"request %d" % number, stream=True)
            task = loop.create_task(ask(transport, upstream.base_url, mine))
            await turns(number % 45)
            task.cancel()
            await asyncio.wait([task])
            kinds.add("left" if task.cancelled() else "whole")
            assert task.cancelled() or task.result() == mine.body
            after = Prepared("/chat", b"after %d" % number, stream=True)
            if number % 3:
                assert await ask(transport, upstream.base_url, after) == after.body
    assert kinds == {"left", "whole"}


async def test_a_hundred_at_once_need_a_hundred_connections_and_no_more_afterwards() -> None:
    gate = Gate()
    async with FakeUpstream(chat_stream().hold(gate, 1)) as upstream, Http1Transport("t") as transport:
        tasks = [asyncio.get_running_loop().create_task(ask(transport, upstream.base_url)) for _ in range(100)]
        await gate.reached(100)
        gate.release()
        assert set(await asyncio.gather(*tasks)) == {chat_stream().body}
        assert upstream.connections == 100
        for _ in range(3):
            await asyncio.gather(*(ask(transport, upstream.base_url) for _ in range(100)))
        assert upstream.connections == 100


async def test_the_newest_idle_connection_is_taken_first() -> None:
    gates = {name: Gate() for name in (b"first", b"second")}
    reply = chat_reply()
    loop, tasks = asyncio.get_running_loop(), dict[bytes, asyncio.Task[bytes]]()
    async with (
        FakeUpstream(lambda request: reply.hold_headers(gates[request.body])) as upstream,
        Http1Transport("t") as transport,
    ):
        for name, gate in gates.items():
            tasks[name] = loop.create_task(ask(transport, upstream.base_url, Prepared("/", name, stream=False)))
            await gate.reached()
        for name in (b"second", b"first"):
            gates[name].release()
            await tasks[name]
        await ask(transport, upstream.base_url, Prepared("/", b"first", stream=False))
        assert [request.connection for request in upstream.requests] == [1, 2, 1]


async def test_idle_connections_are_closed_in_time_and_busy_ones_are_not() -> None:
    async with RawUpstream(Played((with_length(b"ok"),))) as upstream:
        pool = Http1Pool(ssl.create_default_context(), keepalive_seconds=0.03)
        lane = pool.lane(Origin("127.0.0.1", int(upstream.base_url.rpartition(":")[2]), is_tls=False))
        head = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n"
        busy = await lane.connect(1.0)
        for connection in (await lane.connect(1.0), await lane.connect(1.0)):
            assert await read_all(await connection.exchange(head, b"{}", 1.0, 1.0)) == b"ok"
        await upstream.until(lambda: upstream.open == 1)
        assert lane.take() is None
        assert await read_all(await busy.exchange(head, b"{}", 1.0, 1.0)) == b"ok"
        assert lane.take() is busy
        busy.drop()
        await pool.close()


@pytest.mark.parametrize("extra", [b"", b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"])
async def test_an_idle_connection_that_the_upstream_closes_or_writes_on_is_not_used(extra: bytes) -> None:
    played = Played((with_length(b"ok"), extra), "stay" if extra else "close")
    async with RawUpstream(played) as upstream, leaving_nothing(upstream) as transport:
        for count in (1, 2):
            assert await ask(transport, upstream.base_url) == b"ok"
            await upstream.until(lambda: upstream.open == 0)
            await turns(10)
            assert upstream.accepted == count


async def test_a_numeric_address_of_the_sixth_version() -> None:
    played = Played((with_length(b"ok"),))
    async with RawUpstream(played, host="::1") as upstream, leaving_nothing(upstream) as transport:
        assert await ask(transport, upstream.base_url) == b"ok"
        assert upstream.requests[0].head.split(b"\r\n")[1] == b"Host: " + upstream.base_url[7:].encode()


@pytest.mark.parametrize("swallows", [False, True])
async def test_a_name_with_several_addresses_is_tried_until_one_answers(swallows: bool) -> None:
    async def look_up(host: str, port: int) -> list[str]:
        assert host == "upstream.example"
        return ["::1", "127.0.0.1"]

    async with RawUpstream(Played((with_length(b"ok"),))) as upstream:
        port = int(upstream.base_url.rpartition(":")[2])
        pool = Http1Pool(ssl.create_default_context(), look_up=look_up)
        with ExitStack() as fillers:
            if swallows:
                fill(fillers, port)
            connection = await pool.lane(Origin("upstream.example", port, is_tls=False)).connect(0.2)
        head = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
        assert await read_all(await connection.exchange(head, b"", 1.0, 1.0)) == b"ok"
        await pool.close()
        await upstream.until(lambda: upstream.open == 0)


def fill(stack: ExitStack, port: int) -> None:
    """Listen where no connection is accepted any more."""
    full = stack.enter_context(socket.socket(socket.AF_INET6))
    full.bind(("::1", port))
    full.listen(0)
    for _ in range(8):
        filler = stack.enter_context(socket.socket(socket.AF_INET6))
        filler.setblocking(False)
        filler.connect_ex(("::1", port))


@pytest.mark.parametrize(
    "url", ["http://a..b/v1", "http://" + "a" * 64 + ".example", "ftp://127.0.0.1/", "http://u:p@127.0.0.1"]
)
async def test_an_address_that_is_none(url: str) -> None:
    async with Http1Transport("t") as transport:
        with pytest.raises(HeadraceError) as caught:
            await transport.send(Endpoint(url), ASKED, PATIENT)
    assert caught.value.code == "upstream_unreachable"
    assert "is not valid" in caught.value.message


async def test_only_the_one_protocol_is_offered_under_tls(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, ["127.0.0.1"], FakeClock(1_795_521_600_000_000))
    context = server_context(files)
    context.set_alpn_protocols(["h2", "http/1.1"])
    body = bytes(range(256)) * 4_000
    async with (
        RawUpstream(echo, tls=context) as upstream,
        leaving_nothing(upstream, files.authority_file) as transport,
    ):
        for _ in range(2):
            assert await ask(transport, upstream.base_url, Prepared("/", body, stream=True)) == body
        assert upstream.alpn == ["http/1.1"]


async def test_closing_the_transport_ends_what_is_under_way() -> None:
    gate = Gate()
    async with FakeUpstream(chat_stream().hold(gate, 1)) as upstream:
        async with Http1Transport("t") as transport:
            exchange = await transport.send(Endpoint(upstream.base_url), ASKED, PATIENT)
            assert await exchange.read() is not None
            reading = asyncio.get_running_loop().create_task(exchange.read())
            await gate.reached()
        with pytest.raises(HeadraceError) as caught:
            await reading
        await exchange.close()
        [ended] = await upstream.log.until_ended()
        assert (caught.value.code, ended.ending) == ("upstream_truncated", "client_left")


async def test_a_connection_that_is_made_after_the_pool_was_closed_is_closed_too() -> None:
    looked_up = asyncio.Event()

    async def look_up(host: str, port: int) -> list[str]:
        await looked_up.wait()
        return [host]

    async with RawUpstream(Played((with_length(b"ok"),))) as upstream:
        pool = Http1Pool(ssl.create_default_context(), look_up=look_up)
        origin = Origin("127.0.0.1", int(upstream.base_url.rpartition(":")[2]), is_tls=False)
        connecting = asyncio.get_running_loop().create_task(pool.lane(origin).connect(2.0))
        await asyncio.sleep(0)
        await pool.close()
        looked_up.set()
        assert not (await connecting).is_open
        await upstream.until(lambda: (upstream.accepted, upstream.open) == (1, 0))


async def test_a_deadline_is_kept_on_a_connection_whose_earlier_one_was_longer() -> None:
    async with FakeUpstream([chat_reply(), chat_stream().stall(0)]) as upstream, Http1Transport("t") as transport:
        await read_all(await transport.send(Endpoint(upstream.base_url), ASKED, Deadlines()))
        short = Deadlines(4.0, 0.05, 0.05, 0.05)
        exchange = await transport.send(Endpoint(upstream.base_url), ASKED, short)
        with pytest.raises(HeadraceError) as caught:
            await exchange.read()
        await exchange.close()
        assert (caught.value.code, upstream.connections) == ("upstream_stalled", 1)


async def test_routes_are_forgotten_when_there_are_too_many() -> None:
    async with RawUpstream(Played((with_length(b"ok"),))) as upstream, leaving_nothing(upstream) as transport:
        for number in range(MAX_ROUTES + 2):
            assert await ask(transport, upstream.base_url, Prepared(f"/{number}", b"", stream=True)) == b"ok"
        assert upstream.accepted <= 2
