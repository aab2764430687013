"""The way out to addresses that users set, over real sockets; a canary listens where nothing may ever connect."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from headrace.domain.errors import HeadraceError, InvalidRequest, UpstreamTimeout
from headrace.drivers.tls.authority import ensure_certificate
from headrace.drivers.transports.egress import EgressSender
from headrace.testing.clock import FakeClock
from tests.contract.raw_upstream import Played, RawUpstream

pytestmark = pytest.mark.anyio

TAKEN = Played((b"HTTP/1.1 204 No Content\r\n\r\n",))
SILENT = Played(())
HEADERS = (("webhook-id", "msg_1"), ("webhook-signature", "v1,abc"))
NOBODY = frozenset[str]()
# Every one of them is this machine to a resolver that is generous.
SPELLINGS = (
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "017700000001",
    "0177.0.0.1",
    "0",
    "0.0.0.0",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
)


@pytest.fixture
async def canary() -> AsyncIterator[RawUpstream]:
    async with RawUpstream(TAKEN) as listening:
        yield listening


def port_of(upstream: RawUpstream) -> int:
    return int(upstream.base_url.rpartition(":")[2])


def leading_to(*answers: list[str]) -> Callable[[str, int], Awaitable[list[str]]]:
    """A resolver that answers in order, the last answer again and again."""
    left = list(answers)

    async def look_up(host: str, port: int) -> list[str]:
        await asyncio.sleep(0)
        return left.pop(0) if len(left) > 1 else left[0]

    return look_up


async def test_a_message_arrives_with_its_headers_and_nothing_else_of_ours(canary: RawUpstream) -> None:
    allowed = frozenset({f"127.0.0.1:{port_of(canary)}"})
    async with EgressSender("headrace/test", allowed) as sender:
        await sender.check(f"{canary.base_url}/hook?a=b")
        assert await sender.post(f"{canary.base_url}/hook?a=b", HEADERS, b'{"type":"x"}') == 204
    (request,) = canary.requests
    lines = request.head.decode().split("\r\n")
    assert lines[0] == "POST /hook?a=b HTTP/1.1"
    assert {line.partition(":")[0].lower() for line in lines[1:] if line} == {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "content-type",
        "content-length",
        "webhook-id",
        "webhook-signature",
    }
    assert request.body == b'{"type":"x"}'


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_this_machine_is_saved_or_connected_to(canary: RawUpstream, host: str) -> None:
    url = f"https://{host}:{port_of(canary)}/x"
    async with EgressSender("headrace/test", NOBODY) as sender:
        with pytest.raises(HeadraceError):
            await sender.post(url, HEADERS, b"{}")
        # A resolver that does not know the spelling refuses by itself, and then nothing is wrong with saving it.
        try:
            await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), 443)
        except OSError:
            pass
        else:
            with pytest.raises(InvalidRequest) as caught:
                await sender.check(url)
            assert caught.value.code == "webhook_address_private"
            assert "--webhook-host" in caught.value.message
    assert canary.accepted == 0


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "100.64.0.1", "fd00:ec2::254", "64:ff9b::7f00:1"])
async def test_a_name_that_leads_to_a_private_address_is_refused(address: str) -> None:
    async with EgressSender("headrace/test", NOBODY, leading_to(["93.184.216.34", address])) as sender:
        with pytest.raises(InvalidRequest, match=f"leads to {address}"):
            await sender.check("https://hooks.example.com/")
        with pytest.raises(HeadraceError, match=f"leads to {address} now"):
            await sender.post("https://hooks.example.com/", HEADERS, b"{}")


async def test_a_name_that_is_pointed_elsewhere_after_it_was_saved_is_refused(canary: RawUpstream) -> None:
    look_up = leading_to(["93.184.216.34"], ["127.0.0.1"])
    async with EgressSender("headrace/test", NOBODY, look_up) as sender:
        url = f"https://hooks.example.com:{port_of(canary)}/"
        await sender.check(url)
        with pytest.raises(HeadraceError, match=r"leads to 127\.0\.0\.1 now"):
            await sender.post(url, HEADERS, b"{}")
    assert canary.accepted == 0


async def test_the_address_that_was_judged_is_the_one_that_is_connected_to(canary: RawUpstream) -> None:
    """A second look-up would lead to the canary; there is none."""
    looked = list[str]()
    answers = leading_to(["::1"], ["127.0.0.1"])

    async def look_up(host: str, port: int) -> list[str]:
        looked.append(host)
        return await answers(host, port)

    authority = f"hooks.example.com:{port_of(canary)}"
    async with EgressSender("headrace/test", frozenset({authority}), look_up, total_seconds=0.05) as sender:
        with pytest.raises(HeadraceError):
            await sender.post(f"https://{authority}/", HEADERS, b"{}")
    assert (looked, canary.accepted) == (["hooks.example.com"], 0)


async def test_only_the_port_that_is_allowed_is_reached(canary: RawUpstream) -> None:
    async with EgressSender("headrace/test", frozenset({f"localhost:{port_of(canary) - 1}"})) as sender:
        for url in (f"http://localhost:{port_of(canary)}/", f"https://localhost:{port_of(canary)}/"):
            with pytest.raises(InvalidRequest, match="--webhook-host localhost:"):
                await sender.check(url)
            with pytest.raises(HeadraceError):
                await sender.post(url, HEADERS, b"{}")
    assert canary.accepted == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_not_followed(canary: RawUpstream, status: int) -> None:
    location = f"Location: {canary.base_url}/other\r\n".encode()
    answer = Played((f"HTTP/1.1 {status} Moved\r\n".encode() + location + b"Content-Length: 0\r\n\r\n",))
    async with RawUpstream(answer) as receiver:
        allowed = frozenset({f"127.0.0.1:{port_of(each)}" for each in (receiver, canary)})
        async with EgressSender("headrace/test", allowed) as sender:
            assert await sender.post(f"{receiver.base_url}/", HEADERS, b"{}") == status
    assert canary.accepted == 0


async def test_a_receiver_that_hangs_is_left_after_its_time() -> None:
    async with RawUpstream(SILENT) as receiver:
        allowed = frozenset({f"127.0.0.1:{port_of(receiver)}"})
        async with EgressSender("headrace/test", allowed, total_seconds=0.05) as sender:
            with pytest.raises(UpstreamTimeout):
                await sender.post(f"{receiver.base_url}/", HEADERS, b"{}")
        assert len(receiver.requests) == 1


async def test_an_endless_answer_is_not_read() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
    async with RawUpstream(Played((head, *(b"x" * 65_536 for _ in range(64))))) as receiver:
        allowed = frozenset({f"127.0.0.1:{port_of(receiver)}"})
        async with EgressSender("headrace/test", allowed) as sender:
            assert await sender.post(f"{receiver.base_url}/", HEADERS, b"{}") == 200


async def test_a_host_with_a_certificate_of_its_own_is_reached_under_its_name(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, ["hooks.example.com"], FakeClock(1_795_521_600_000_000))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate_file, files.key_file)
    async with RawUpstream(TAKEN, tls=context) as receiver:
        authority = f"hooks.example.com:{port_of(receiver)}"
        trusted = ssl.create_default_context(cafile=files.authority_file)
        look_up = leading_to(["127.0.0.1"])
        async with EgressSender("t", frozenset({authority}), look_up, trusted) as sender:
            assert await sender.post(f"https://{authority}/", HEADERS, b"{}") == 204
        other = authority.replace("hooks", "other")
        async with EgressSender("t", frozenset({other}), look_up, trusted) as sender:
            with pytest.raises(HeadraceError) as caught:
                await sender.post(f"https://{other}/", HEADERS, b"{}")
        assert caught.value.code == "upstream_tls"
        assert len(receiver.requests) == 1


async def test_a_name_that_does_not_resolve_now_may_be_saved() -> None:
    async def unknown(host: str, port: int) -> list[str]:
        await asyncio.sleep(0)
        raise OSError(host)

    async with EgressSender("headrace/test", NOBODY, unknown) as sender:
        await sender.check("https://later.example.com/")
        with pytest.raises(HeadraceError) as caught:
            await sender.post("https://later.example.com/", HEADERS, b"{}")
    assert caught.value.code == "upstream_unreachable"
