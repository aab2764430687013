"""Raw answers cut at every byte: the product's transport sees what the one on aiohttp sees."""

from typing import NamedTuple

import pytest

from headrace.domain.errors import HeadraceError
from headrace.domain.plan import Deadlines, Endpoint
from headrace.drivers.transports.http1_transport import Http1Transport
from headrace.ports.upstream import Prepared, Transport
from tests.contract.aiohttp_transport import AiohttpTransport
from tests.contract.raw_upstream import Ending, Played, RawUpstream, halves, trusting_nobody

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


ASKED = Prepared("/chat", b"{}", stream=True)
DEADLINES = Deadlines(2.0, 2.0, 2.0, 2.0)
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"X-Request-Id: a\r\nTransfer-Encoding: chunked\r\n\r\n"

WITH_LENGTH = {
    "length": (OK + b'content-length: 13\r\nX-Request-Id: a\r\n\r\n{"a": "\r\n\r\n"}', b'{"a": "\r\n\r\n"}'),
    "refusal": (b"HTTP/1.1 429 Slow Down\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{}", b"{}"),
    "empty": (OK + b"content-length: 0\r\nx-request-id: a\r\n\r\n", b""),
    "no content": (b"HTTP/1.1 204 No Content\r\nx-request-id: a\r\n\r\n", b""),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", b""),
    "old": (b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\nconnection: keep-alive\r\n\r\nabc", b"abc"),
    "announced": (b"HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n" + OK + b"content-length: 3\r\n\r\nabc", b"abc"),
    "bare line feeds": (b"HTTP/1.1 200 OK\ncontent-length: 3\n\nabc", b"abc"),
    "encoded": (OK + b"content-encoding: br\r\ncontent-length: 3\r\n\r\n\x00\xff\x01", b"\x00\xff\x01"),
}
IN_CHUNKS = {
    "chunks": (
        CHUNKED + b"3\r\nabc\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n",
        b"abcabcdefghijklmnopqrstuvwxyz",
    ),
    "extensions": (CHUNKED + b'3;a="b;c"\r\nabc\r\n1 \r\nd\r\n0;last\r\n\r\n', b"abcd"),
    "trailers": (CHUNKED + b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Request-Id: b\r\n\r\n", b"abc"),
}
TO_THE_CLOSE = {"to the close": (OK + b"x-request-id: a\r\n\r\nabcdef", b"abcdef")}
DELIMITED = WITH_LENGTH | IN_CHUNKS


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The product's event loop."""
    return "asyncio", {"use_uvloop": True}


class Outcome(NamedTuple):
    """What a caller of a transport sees of one exchange."""

    status: int | None
    request_id: str | None
    body: bytes
    code: str | None


def plain_transport() -> Http1Transport:
    return Http1Transport("t", tls=trusting_nobody())


async def outcome(transport: Transport, upstream: RawUpstream) -> Outcome:
    """Send one request and read to the end, whatever that is."""
    try:
        exchange = await transport.send(Endpoint(upstream.base_url), ASKED, DEADLINES)
    except HeadraceError as error:
        return Outcome(None, None, b"", error.code)
    body, code = b"", None
    try:
        while (block := await exchange.read()) is not None:
            body += block
    except HeadraceError as error:
        code = error.code
    finally:
        await exchange.close()
    return Outcome(exchange.status, exchange.headers.get("x-request-id"), body, code)


@pytest.mark.parametrize("name", DELIMITED)
async def test_an_answer_in_two_segments_is_the_same_answer(name: str) -> None:
    raw, body = DELIMITED[name]
    async with RawUpstream(Played(())) as upstream, plain_transport() as own, AiohttpTransport("t") as peer:
        for at in range(1, len(raw) + 1):
            upstream.script = halves(raw, at)
            seen = await outcome(own, upstream)
            assert (seen.body, seen.code) == (body, None), at
            assert seen == await outcome(peer, upstream), at
        assert upstream.accepted == 2


@pytest.mark.parametrize("name", DELIMITED)
async def test_an_answer_byte_by_byte_is_the_same_answer(name: str) -> None:
    raw, body = DELIMITED[name]
    played = Played(tuple(raw[at : at + 1] for at in range(len(raw))))
    async with RawUpstream(played) as upstream, plain_transport() as transport:
        for _ in range(3):
            seen = await outcome(transport, upstream)
            assert (seen.body, seen.code) == (body, None)
        assert upstream.accepted == 1


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("name", DELIMITED)
async def test_an_answer_that_breaks_anywhere_is_never_taken_for_whole(name: str, then: Ending) -> None:
    raw, body = DELIMITED[name]
    async with RawUpstream(Played(())) as upstream, plain_transport() as own, AiohttpTransport("t") as peer:
        for at in range(len(raw)):
            upstream.script = Played((raw[:at],), then)
            seen = await outcome(own, upstream)
            assert seen.code == ("upstream_unavailable" if seen.status is None else "upstream_truncated"), at
            assert body.startswith(seen.body), at
            assert seen == await outcome(peer, upstream), at


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    [(raw, body)] = TO_THE_CLOSE.values()
    head = len(raw) - len(body)
    async with RawUpstream(Played(())) as upstream, plain_transport() as own, AiohttpTransport("t") as peer:
        for at in range(len(raw) + 1):
            upstream.script = Played((raw[:at],), "close")
            seen = await outcome(own, upstream)
            assert seen.code == ("upstream_unavailable" if at < head else None)
            assert seen.body == raw[head:at]
            assert seen == await outcome(peer, upstream), at


async def test_a_body_without_a_length_that_is_reset_is_not_whole() -> None:
    [(raw, body)] = TO_THE_CLOSE.values()
    async with RawUpstream(Played((raw,), "reset")) as upstream, plain_transport() as transport:
        seen = await outcome(transport, upstream)
    assert (seen.body, seen.code) == (body, "upstream_truncated")


HEAD_FAULTS = {
    "both lengths": OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "two lengths": OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nab",
    "negative length": OK + b"content-length: -1\r\n\r\nab",
    "no colon": OK + b"nonsense\r\n\r\n",
    "another protocol": b"ICY 200 OK\r\ncontent-length: 0\r\n\r\n",
    "no number": b"HTTP/1.1 OK\r\n\r\n",
    "an endless header": OK + b"x: " + b"a" * 66_000 + b"\r\ncontent-length: 0\r\n\r\n",
    "an endless reason": b"HTTP/1.1 200 " + b"a" * 66_000 + b"\r\ncontent-length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", HEAD_FAULTS)
async def test_a_head_that_is_not_http(name: str) -> None:
    played = Played((HEAD_FAULTS[name],))
    async with RawUpstream(played) as upstream, plain_transport() as own, AiohttpTransport("t") as peer:
        seen = await outcome(own, upstream)
        assert seen == await outcome(peer, upstream)
        assert seen.code == "upstream_protocol"


STRICTER_FAULTS = {
    "space before the colon": OK + b"content-length : 0\r\n\r\n",
    "a status that is none": b"HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n",
    "another protocol from here on": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nabc",
    "a folded header": OK + b"x: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    "a control character": OK + b"x: a\x01b\r\ncontent-length: 0\r\n\r\n",
    "headers without end": OK + b"x: aaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 10_000,
    "announcements without end": b"HTTP/1.1 100 Continue\r\n\r\n" * 11_000,
}


@pytest.mark.parametrize("name", STRICTER_FAULTS)
async def test_a_head_that_the_product_refuses_though_others_may_not(name: str) -> None:
    async with RawUpstream(Played((STRICTER_FAULTS[name],))) as upstream, plain_transport() as transport:
        assert (await outcome(transport, upstream)).code == "upstream_protocol"
        await upstream.until(lambda: upstream.open == 0)


BODY_FAULTS = {
    "a size that is none": (CHUNKED + b"3\r\nabc\r\nzz\r\nabc\r\n0\r\n\r\n", b"abc"),
    "a chunk that is too long": (CHUNKED + b"3\r\nabcX\r\n0\r\n\r\n", b"abc"),
    "a size that overflows": (CHUNKED + b"3\r\nabc\r\nfffffffffffffffff\r\n", b"abc"),
    "an extension without end": (CHUNKED + b"3\r\nabc\r\n1;" + b"a" * 600_000, b"abc"),
    "trailers without end": (CHUNKED + b"3\r\nabc\r\n0\r\n" + b"x: aaaaaaaaaaaaaaaaaaaaaaa\r\n" * 22_000, b"abc"),
}


@pytest.mark.parametrize("name", BODY_FAULTS)
async def test_a_body_that_is_not_http_is_given_out_up_to_there(name: str) -> None:
    raw, body = BODY_FAULTS[name]
    async with RawUpstream(Played((raw,))) as upstream, plain_transport() as transport:
        seen = await outcome(transport, upstream)
        assert (seen.status, seen.body, seen.code) == (200, body, "upstream_protocol")
        await upstream.until(lambda: upstream.open == 0)


BEHIND_THE_END = {
    "a second answer": OK + b"content-length: 2\r\n\r\nno",
    "anything": b"anything",
    "one byte": b"x",
}


@pytest.mark.parametrize("name", BEHIND_THE_END)
@pytest.mark.parametrize("together", [True, False])
async def test_bytes_behind_the_end_are_no_answer_to_the_next_request(name: str, together: bool) -> None:
    raw, body = IN_CHUNKS["chunks"]
    extra = BEHIND_THE_END[name]
    played = Played((raw + extra,) if together else (raw, extra))
    async with RawUpstream(played) as upstream, plain_transport() as transport:
        for count in (1, 2, 3):
            seen = await outcome(transport, upstream)
            assert (seen.body, seen.code) == (body, None)
            await upstream.until(lambda: upstream.open == 0)
            assert upstream.accepted == count
